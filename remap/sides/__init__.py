"""Both frameworks looked at and run: the only place where torch, TensorFlow and Keras are imported."""
