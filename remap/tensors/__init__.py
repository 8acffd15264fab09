"""Tensors as records: where their bytes lie and how they are laid out; imports nothing of remap's but its errors."""
