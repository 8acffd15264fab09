"""What PyTorch writes: archives, pickles and programs of every age."""
