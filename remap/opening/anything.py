"""Opening whatever holds weights: checkpoints of PyTorch and the files that remap writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from remap.formats.registry import recognised
from remap.formats.unread import Unread
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
    given = given if isinstance(given, str) and is_url(given) else Path(given)
    file = Unread(locate(given))
    form = recognised(file, targets=True)
    if form is None:
        return open_checkpoint(path, **options)
    contents = form.read(file)
    kind = contents.kind or form.name
    return Checkpoint(given, contents.format, contents.tree, contents.peeled, contents.skipped, kind)
