"""The Keras side: models built, looked at without weights, run and traced."""
