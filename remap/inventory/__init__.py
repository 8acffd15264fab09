"""What a side has: variables with their layers, and the names that they are found by. Imports no framework."""
