"""remap: PyTorch checkpoints into Keras weights, by rule files, proved in your own model."""
