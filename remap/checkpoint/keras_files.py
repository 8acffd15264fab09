"""Keras weights that are more than one HDF5 file: ``.keras`` archives and shards with an index."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from remap.checkpoint.blob import FileBlob
from remap.checkpoint.keras_h5 import open_keras_h5, read_keras_h5
from remap.checkpoint.tensor import Checkpoint, MappedFile, Skipped, Tensor
from remap.checkpoint.zipdir import locate, read_directory
from remap.errors import CheckpointError, Problem

MEMBER = "model.weights.h5"
SHARDS = ".weights.json"


def is_keras_archive(path: Path) -> bool:
    """Whether a file is a ``.keras`` archive: a zip with Keras's weights in it."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return MEMBER in archive.namelist()


def open_keras_archive(path: Path) -> Checkpoint:
    """The weights of a ``.keras`` archive; read in place where the archive stores them uncompressed.

    Raises:
        CheckpointError: The archive or its weights are damaged, or they are compressed.
    """
    blob = FileBlob(path)
    entry = read_directory(blob)[MEMBER]
    if entry.method != zipfile.ZIP_STORED:
        raise CheckpointError(
            "the archive's weights are compressed, so they cannot be read in place", where=f"{MEMBER} in {path}",
            expected="a member that is stored, as Keras writes it", fix=f"unzip it and look at {MEMBER}",
        )  # fmt: skip
    start = locate(blob, MEMBER, entry)
    return read_keras_h5(path, "Keras archive", MappedFile(path), start, entry.nbytes)


def open_keras_shards(path: Path) -> Checkpoint:
    """The weights behind a ``.weights.json`` index.

    Raises:
        CheckpointError: The index is damaged, or a shard is missing or lies elsewhere.
    """
    try:
        weight_map: dict[str, Any] = json.loads(path.read_text("utf-8"))["weight_map"]
        names = [name for value in weight_map.values() for name in ([value] if isinstance(value, str) else value)]
        files = list(dict.fromkeys(names))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            "damaged index of Keras shards", where=str(path), found=f"{type(error).__name__}: {error}",
            expected='{"weight_map": {"/layers/dense/vars": "NAME_00000.weights.h5"}}',
        ) from error  # fmt: skip
    problems = [
        Problem("a shard is missing or lies elsewhere", f"{name} of {path}", expected="a file beside the index")
        for name in files
        if Path(name).name != name or not path.with_name(name).is_file()
    ]
    if problems:
        raise CheckpointError(problems)
    tensors: dict[str, Tensor] = {}
    skipped: list[Skipped] = []
    for name in files:
        shard = open_keras_h5(path.with_name(name))
        twice = tensors.keys() & shard.keys()
        if twice:
            raise CheckpointError("a dataset lies in two shards", where=f"{min(twice)} of {path}")
        tensors.update(shard)
        skipped += shard.skipped
    return Checkpoint(path, f"Keras weights in {len(files)} shards", tensors, skipped=tuple(skipped))
