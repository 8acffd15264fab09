"""The Keras side: which variables a model has and where each lives in a file."""
