"""What Keras writes and loads."""
