"""From a plan to files: regions filled tile by tile, staged, renamed when they are safe on disk."""
