"""From a path or URL to a checkpoint: wrappers peeled, keys stripped, tensors as records."""
