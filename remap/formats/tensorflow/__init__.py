"""TensorFlow checkpoints, name-based and object-based, without TensorFlow."""
