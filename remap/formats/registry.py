"""All formats, by dotted names: each is imported when formats are first asked for, none at the start of a command."""

from __future__ import annotations

import importlib
from functools import cache

from remap.formats.format import Format
from remap.formats.unread import Unread

FORMATS = (
    "remap.formats.keras.weights_h5:WEIGHTS_H5",
    "remap.formats.keras.legacy_h5:LEGACY_H5",
    "remap.formats.keras.weights_json:WEIGHTS_JSON",
    "remap.formats.keras.keras_archive:KERAS_ARCHIVE",
    "remap.formats.tensorflow.tf_name:TF_NAME",
    "remap.formats.tensorflow.tf_object:TF_OBJECT",
    "remap.formats.safetensors:SAFETENSORS",
    "remap.formats.npz:NPZ",
    "remap.formats.pytorch.torchscript:TORCHSCRIPT",
    "remap.formats.pytorch.torch_export:TORCH_EXPORT",
    "remap.formats.pytorch.torch_zip:TORCH_ZIP",
    "remap.formats.pytorch.torch_legacy:TORCH_LEGACY",
    "remap.formats.pytorch.torch_tar:TORCH_TAR",
    "remap.formats.folders.distributed:DISTRIBUTED",
    "remap.formats.flax:FLAX",
)
"""``module:object`` of each; the first that recognises a file reads it."""


def formats() -> tuple[Format, ...]:
    """All formats, in order."""
    return tuple(map(_imported, FORMATS))


def written_formats() -> tuple[Format, ...]:
    """Those that can be written."""
    return tuple(form for form in formats() if form.suffixes)


def format_named(name: str) -> Format | None:
    """The format that code calls ``name``, None if there is none.

    >>> format_named("npz").suffixes
    ('.npz',)
    """
    return next((form for form in formats() if form.name == name), None)


def recognised(file: Unread, *, targets: bool) -> Format | None:
    """The format of a file, None where none knows it.

    Args:
        file: It.
        targets: Whether files of the target side are looked for, or those of the source's.

    Raises:
        CheckpointError: The file cannot be read, or is an archive that is damaged.
    """
    return next((form for form in formats() if form.is_target == targets and form.recognise(file)), None)


@cache
def _imported(dotted: str) -> Format:
    module, _, name = dotted.partition(":")
    form: Format = getattr(importlib.import_module(module), name)
    return form
