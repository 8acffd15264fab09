"""Opening whatever holds weights: checkpoints of PyTorch and the files that remap writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from remap.formats.containers import zipdir
from remap.formats.keras import keras_files, keras_h5
from remap.formats.tensorflow import tf_bundle
from remap.opening.open import Dequantized, open_checkpoint
from remap.tensors.locate import locate
from remap.tensors.location import is_url
from remap.tensors.tensor import Checkpoint


def open_weights(path: str | Path | Dequantized, **options: Any) -> Checkpoint:
    """The tensors of a PyTorch checkpoint, a Keras file or a TensorFlow checkpoint, by name.

    Args:
        path: A file, a folder, the prefix of a TensorFlow checkpoint, or the URL of one.
        **options: Passed to :func:`remap.opening.open.open_checkpoint` where that reads it.

    Raises:
        CheckpointError: It cannot be read.
        MissingPackageError: It is a URL, and fsspec or its package for such URLs is not installed.

    >>> open_weights("fixtures/resnet/thin_resnet50.pt").format
    'torch zip'
    """
    given = path.path if isinstance(path, Dequantized) else path
    found = _target_side(given if isinstance(given, str) and is_url(given) else Path(given))
    return open_checkpoint(path, **options) if found is None else found


def _target_side(path: str | Path) -> Checkpoint | None:
    """The tensors of a file of Keras or TensorFlow, None if it is none."""
    place = locate(path)
    name, there = place.name.rpartition("/")[2], place.exists()
    if not there or tf_bundle.is_part(name):
        index = tf_bundle.index_of(place)
        if index is not None:
            return tf_bundle.open_tf_bundle(path, index)
    if not there or place.is_folder():
        return None
    blob = place.blob()
    if name.endswith(keras_files.SHARDS):
        return keras_files.open_keras_shards(path, place, blob)
    head = blob.read(0, min(blob.size, len(keras_h5.MAGIC)))
    if head == keras_h5.MAGIC:
        return keras_h5.open_keras_h5(path, blob)
    if head.startswith(zipdir.MAGIC):
        entry = zipdir.read_directory(blob).get(keras_files.MEMBER)
        return None if entry is None else keras_files.open_keras_archive(path, blob, entry)
    return None
