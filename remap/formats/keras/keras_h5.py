"""Keras weight files in HDF5, read as named tensors: what remap writes can be looked at like any other.

Both layouts are read: the datasets of ``.weights.h5`` by path, those of the legacy ``.h5`` likewise. The HDF5 library
looks at them in another process; numbers that lie in one piece are read here, from their place in the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from remap.errors import CheckpointError
from remap.formats.contents import Contents, is_absurd
from remap.formats.keras.h5_process import PROCESS
from remap.tensors.blob import Blob, check_range
from remap.tensors.computed import PIECE, ComputedStorage, Write
from remap.tensors.dtypes import NAMES, dtype_of
from remap.tensors.local_file import LocalFile, demand_unchanged, files_of
from remap.tensors.names import refusal
from remap.tensors.tensor import Checkpoint, Skipped, Tensor, dense_strides

MAX_RATIO = 1000
"""How much smaller than its numbers a dataset may be stored, of those that are large: as Keras itself has it."""
MAX_CHUNK = 256 << 20
"""Bytes of the largest chunk that is unpacked: HDF5 unpacks it whole, in memory."""
MAGIC = b"\x89HDF\r\n\x1a\n"
_TITLES = {"legacy_h5": "Keras legacy h5", "weights_h5": "Keras weights.h5"}


def read(blob: Blob, title: str = "", kind: str = "") -> Contents:
    """The contents of an HDF5 file of either layout.

    Args:
        blob: It.
        title: What people call its format; told by its layout if empty.
        kind: What code calls it; likewise.

    Raises:
        CheckpointError: The file is damaged, or has parts of it in other files.
    """
    checkpoint = open_keras_h5(blob.name, blob, title)
    return Contents(checkpoint.format, dict(checkpoint), checkpoint.skipped, kind=kind or checkpoint.kind)


def open_keras_h5(path: Path | str, blob: Blob, label: str = "") -> Checkpoint:
    """All datasets of an HDF5 file by path; they stay where they are until they are read.

    Args:
        path: What the user named.
        blob: The HDF5 file.
        label: What to call it; told by its layout if empty.

    Raises:
        CheckpointError: The file is damaged, or has parts of it in other files.
    """
    tensors: dict[str, Tensor] = {}
    skipped: list[Skipped] = []
    listing = PROCESS.listing(blob)
    for dataset in listing["datasets"]:
        name = dataset["name"]
        tensor = _tensor(name, dataset, blob)
        if tensor is None:
            skipped.append(Skipped(name, f"dataset of {dataset['shown']}"))
        else:
            tensors[name] = tensor
    kind = "legacy_h5" if listing["legacy"] else "weights_h5"
    return Checkpoint(path, label or _TITLES[kind], tensors, skipped=tuple(skipped), kind=kind)


def _tensor(name: str, dataset: dict[str, Any], blob: Blob) -> Tensor | None:
    where = f"{name!r:.200} in {blob.name}"
    dtype = _dtype(dataset)
    if dtype is None or dataset["shape"] is None:
        return None
    if reason := refusal(name):
        raise CheckpointError("tensor with a name that none can have", where=where, found=reason)
    if not dataset["plain"]:
        raise CheckpointError(
            "numbers of an element type that no Keras file has",
            where=where,
            found=f"other bits than those of {dataset['shown']}",
            fix="the file is damaged: write it again",
        )
    shape, offset = tuple(dataset["shape"]), dataset["offset"]
    nbytes = prod(shape) * dtype.itemsize
    if offset is not None and not dataset["big"]:
        check_range(blob, offset, nbytes)
        return Tensor(name, shape, dtype, dense_strides(shape), blob.storage(offset, nbytes))
    chunk = dataset["chunk"] * dtype.itemsize
    if chunk > MAX_CHUNK or is_absurd(shape, dtype.itemsize, dataset["stored"] * MAX_RATIO):
        raise CheckpointError(
            "dataset of an absurd shape",
            where=where,
            found=f"{nbytes} bytes in chunks of {chunk}, few stored",
            expected=f"chunks of at most {MAX_CHUNK} bytes",
        )

    storage = ComputedStorage(nbytes, where, Unpack(name, blob, nbytes, chunk))
    return Tensor(name, shape, dtype, dense_strides(shape), storage)


@dataclass(frozen=True, slots=True)
class Unpack:
    """Makes the bytes of a dataset that is packed, lies in chunks or is big-endian.

    Args:
        name: Its path.
        blob: The HDF5 file.
        nbytes: How many there will be.
        chunk: Bytes of its largest chunk.
    """

    name: str
    blob: Blob
    nbytes: int
    chunk: int

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """Those of the HDF5 file."""
        return files_of(self.blob)

    def __call__(self, write: Write) -> None:
        demand_unchanged(self.files)
        at = 0
        for data in PROCESS.read(self.blob, self.name, self.nbytes, PIECE, self.chunk):
            write(at, data)
            at += len(data)


def _dtype(dataset: dict[str, Any]) -> np.dtype | None:
    """The element type: Keras stores bfloat16 as opaque bytes with its name in an attribute."""
    named = dataset["named"]
    if named in NAMES:
        stated = dtype_of(named)
        return stated if stated.itemsize == dataset["itemsize"] else None
    return dtype_of(dataset["dtype"]) if dataset["dtype"] in NAMES else None
