"""Imports that have to come first: triton, then TensorFlow, or the process crashes."""

import gc

from remap.sides.framework import prepare_process

prepare_process()


def pytest_collection_finish() -> None:
    """Take what is loaded by now, all the libraries, from the garbage collector, which Keras calls at every model."""
    gc.collect()
    gc.freeze()
