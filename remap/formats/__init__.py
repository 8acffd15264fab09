"""One file a format: recognised by its first bytes, read to named tensors, laid out to be written."""
