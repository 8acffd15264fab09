"""The PyTorch side: networks built, named as checkpoints name them, run and traced."""
