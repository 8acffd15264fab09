"""Keras weights that are more than one HDF5 file: ``.keras`` archives and shards with an index."""

from __future__ import annotations

from pathlib import Path

from remap.errors import CheckpointError
from remap.formats.containers.zipdir import DEFLATED, MAX_RATIO, STORED, ZipEntry, damaged, inflated, locate
from remap.formats.folders.shards import mapped
from remap.formats.keras.keras_h5 import open_keras_h5
from remap.tensors.blob import Blob, BytesBlob, PartBlob
from remap.tensors.computed import ComputedStorage, Write, kept
from remap.tensors.location import Location, listed_file
from remap.tensors.tensor import Checkpoint, Skipped, Tensor

MEMBER = "model.weights.h5"
SHARDS = ".weights.json"


def open_keras_archive(path: Path | str, blob: Blob, entry: ZipEntry) -> Checkpoint:
    """The weights of a ``.keras`` archive: read in place, or inflated where somebody has packed the archive anew.

    Args:
        path: What the user named.
        blob: The archive.
        entry: Its :data:`MEMBER`.

    Raises:
        CheckpointError: The archive or its weights are damaged.
    """
    if entry.encrypted or entry.method not in (STORED, DEFLATED) or entry.nbytes > MAX_RATIO * (entry.packed + 1):
        raise damaged(blob, f"entry {MEMBER!r} is packed in a way that no .keras is")
    weights: Blob
    if entry.method == STORED:
        weights = PartBlob(blob, locate(blob, MEMBER, entry), entry.packed, MEMBER)
    else:
        where = f"{MEMBER} in {blob.name}"
        weights = BytesBlob(
            kept(ComputedStorage(entry.nbytes, where, lambda write: _inflate(blob, entry, write))), where
        )
    return open_keras_h5(path, weights, "Keras archive")


def _inflate(blob: Blob, entry: ZipEntry, write: Write) -> None:
    at = 0
    for piece in inflated(blob, MEMBER, entry):
        write(at, piece)
        at += len(piece)


def open_keras_shards(path: Path | str, place: Location, blob: Blob) -> Checkpoint:
    """The weights behind a ``.weights.json`` index.

    Args:
        path: What the user named.
        place: The index.
        blob: Its bytes.

    Raises:
        CheckpointError: The index is damaged, a shard is missing or lies elsewhere, or a dataset is in two.
    """
    files, folder = _shard_names(blob), place.parent()
    problems = [problem for name in files if (problem := listed_file(folder, name, blob.name))]
    if problems:
        raise CheckpointError(problems)
    tensors: dict[str, Tensor] = {}
    skipped: list[Skipped] = []
    for name in files:
        shard = open_keras_h5(path, folder.child(name).blob())
        twice = tensors.keys() & shard.keys()
        if twice:
            raise CheckpointError("a dataset lies in two shards", where=f"{min(twice)} of {blob.name}")
        tensors.update(shard)
        skipped += shard.skipped
    return Checkpoint(path, f"Keras weights in {len(files)} shards", tensors, skipped=tuple(skipped))


def _shard_names(blob: Blob) -> list[str]:
    """The files that an index names: Keras 3.10 writes one for each group of variables, later ones a list."""
    values = mapped(blob).values()
    named = [name for value in values for name in (value if type(value) is list and value else [value])]
    if not all(type(name) is str for name in named):
        raise CheckpointError(
            "damaged index of Keras shards",
            where=blob.name,
            expected='{"weight_map": {"/layers/dense/vars": "NAME_00000.weights.h5"}}',
        )
    return list(dict.fromkeys(named))
