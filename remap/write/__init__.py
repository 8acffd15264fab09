"""Output formats: a plan streamed into one file, complete or absent."""
