"""Checkpoint files: every input format yields a mapping from names to tensor records."""
