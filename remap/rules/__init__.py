"""Rule files: parsed, validated, with the line of every rule."""
