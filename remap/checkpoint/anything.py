"""Opening whatever holds weights: checkpoints of PyTorch and the files that remap writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from remap.checkpoint import keras_files, keras_h5, tf_bundle
from remap.checkpoint.location import is_url
from remap.checkpoint.open import Dequantized, open_checkpoint
from remap.checkpoint.tensor import Checkpoint


def open_weights(path: str | Path | Dequantized, **options: Any) -> Checkpoint:
    """The tensors of a PyTorch checkpoint, a Keras file or a TensorFlow checkpoint, by name.

    Args:
        path: A file, a folder, the prefix of a TensorFlow checkpoint, or the URL of a PyTorch checkpoint.
        **options: Passed to :func:`remap.checkpoint.open.open_checkpoint` where that reads it.

    Raises:
        CheckpointError: It cannot be read.

    >>> open_weights("fixtures/resnet/thin_resnet50.pt").format
    'torch zip'
    """
    if is_url(str(path)):
        return open_checkpoint(path, **options)
    file = Path(path)
    if keras_h5.is_hdf5(file):
        return keras_h5.open_keras_h5(file)
    if file.name.endswith(keras_files.SHARDS) and file.is_file():
        return keras_files.open_keras_shards(file)
    index = tf_bundle.index_of(file)
    if index is not None and (not file.exists() or file == index or ".data-" in file.name):
        return tf_bundle.open_tf_bundle(index)
    if keras_files.is_keras_archive(file):
        return keras_files.open_keras_archive(file)
    return open_checkpoint(path, **options)
