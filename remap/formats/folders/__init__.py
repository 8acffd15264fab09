"""Checkpoints in several files: indexes of shards, and the folders of other libraries."""
