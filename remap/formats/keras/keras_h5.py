"""Keras weight files in HDF5, read as named tensors: what remap writes can be looked at like any other.

Both layouts are read: the datasets of ``.weights.h5`` by path, those of the legacy ``.h5`` likewise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from remap.errors import CheckpointError
from remap.formats.contents import MAX_EXPANSION, Contents
from remap.tensors.blob import Blob, FileBlob, check_range
from remap.tensors.computed import PIECE, ComputedStorage, Write
from remap.tensors.dtypes import NAMES, dtype_of
from remap.tensors.local_file import LocalFile, demand_unchanged, files_of
from remap.tensors.seekable import Seekable
from remap.tensors.tensor import Checkpoint, Skipped, Tensor, dense_strides

MAX_RATIO = 1000
"""How much smaller than its numbers a dataset may be stored, of those that are large: as Keras itself has it."""
MAX_CHUNK = 256 << 20
"""Bytes of the largest chunk that is unpacked: HDF5 unpacks it whole, in memory."""
MAGIC = b"\x89HDF\r\n\x1a\n"
_TITLES = {"legacy_h5": "Keras legacy h5", "weights_h5": "Keras weights.h5"}
_FAILURES = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError, SystemError)
"""What h5py raises for damaged files."""


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
    with _opened(blob, blob.name) as file:
        for name, dataset in _datasets(file, blob):
            tensor = _tensor(name, dataset, blob)
            if tensor is None:
                skipped.append(Skipped(name, f"dataset of {dataset.dtype}"))
            else:
                tensors[name] = tensor
        kind = "legacy_h5" if "layer_names" in _attributes(file) else "weights_h5"
    return Checkpoint(path, label or _TITLES[kind], tensors, skipped=tuple(skipped), kind=kind)


@contextmanager
def _opened(blob: Blob, where: str) -> Iterator[Any]:
    import h5py

    source = blob.path if isinstance(blob, FileBlob) else Seekable(blob)
    try:
        with h5py.File(source, "r") as file:
            yield file
    except _FAILURES as error:
        if isinstance(source, Seekable) and source.failure is not None:
            raise source.failure from error
        raise CheckpointError(
            "cannot read the HDF5 file", where=where, found=str(error), fix="it is damaged: write it again"
        ) from error


def _datasets(file: Any, blob: Blob) -> Iterator[tuple[str, Any]]:
    """Every dataset by each of its paths: Keras's files have one under several where layers share a variable."""
    import h5py

    links: list[tuple[str, Any]] = []
    file.visititems_links(lambda name, link: links.append((name, link)))
    for name, link in links:
        if not isinstance(link, h5py.HardLink):
            raise CheckpointError(
                "the HDF5 file leads to another place",
                where=f"{name} in {blob.name}",
                found=f"a {type(link).__name__} to {getattr(link, 'filename', '')} {link.path}",
                expected="datasets of its own, as Keras writes them",
                fix="do not use this file",
            )
        item = file[name]
        if isinstance(item, h5py.Dataset):
            yield name, item


def _attributes(file: Any) -> set[str]:
    """Attribute names of the root and of ``model_weights``, the running number of split ones removed."""
    groups = [file, *([file["model_weights"]] if "model_weights" in file else [])]
    return {name.rstrip("0123456789") for group in groups for name in group.attrs}


def _tensor(name: str, dataset: Any, blob: Blob) -> Tensor | None:
    where = f"{name} in {blob.name}"
    if dataset.external or dataset.is_virtual:
        raise CheckpointError(
            "a dataset's bytes lie in another file",
            where=where,
            expected="datasets of its own, as Keras writes them",
            fix="do not use this file",
        )
    dtype = _dtype(dataset)
    if dtype is None or dataset.shape is None:
        return None
    shape = tuple(dataset.shape)
    offset = dataset.id.get_offset()
    nbytes = prod(shape) * dtype.itemsize
    if offset is not None and dataset.dtype.byteorder != ">":
        check_range(blob, offset, nbytes)
        return Tensor(name, shape, dtype, dense_strides(shape), blob.storage(offset, nbytes))
    chunk = prod(dataset.chunks or (0,)) * dtype.itemsize
    if nbytes > max(dataset.id.get_storage_size() * MAX_RATIO, MAX_EXPANSION) or chunk > MAX_CHUNK:
        raise CheckpointError(
            "dataset of an absurd shape",
            where=where,
            found=f"{nbytes} bytes in chunks of {chunk}, few stored",
            expected=f"chunks of at most {MAX_CHUNK} bytes",
        )

    return Tensor(name, shape, dtype, dense_strides(shape), ComputedStorage(nbytes, where, Unpack(name, blob, where)))


@dataclass(frozen=True, slots=True)
class Unpack:
    """Makes the bytes of a dataset that is packed, lies in chunks or is big-endian."""

    name: str
    blob: Blob
    where: str

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """Those of the HDF5 file."""
        return files_of(self.blob)

    def __call__(self, write: Write) -> None:
        demand_unchanged(self.files)
        at = 0
        for data in _unpacked(self.name, self.blob, self.where):
            write(at, data)
            at += len(data)


def _unpacked(name: str, blob: Blob, where: str) -> Iterator[memoryview]:
    """The bytes, little-endian, of a dataset that is packed, lies in chunks or is big-endian, piece by piece."""
    with _opened(blob, where) as file:
        dataset = file[name]
        for piece in _pieces(dataset.shape, dataset.dtype.itemsize):
            numbers = np.ascontiguousarray(dataset[piece], dataset.dtype.newbyteorder("<"))
            yield numbers.reshape(-1).view(np.uint8).data


def _pieces(shape: tuple[int, ...], itemsize: int) -> Iterator[tuple[int | slice, ...]]:
    """Indexes of parts of an array that lie one behind the other, of :data:`PIECE` bytes each or little less."""
    axis = next((axis for axis in range(len(shape)) if prod(shape[axis + 1 :]) * itemsize <= PIECE), None)
    if axis is None:  # a single number
        yield ()
        return
    step = PIECE // max(prod(shape[axis + 1 :]) * itemsize, 1)
    for outer in np.ndindex(shape[:axis]):
        for at in range(0, shape[axis], step):
            yield (*outer, slice(at, at + step))


def _dtype(dataset: Any) -> np.dtype | None:
    """The element type: Keras stores bfloat16 as opaque bytes with its name in an attribute."""
    named = dataset.attrs.get("dtype")
    if isinstance(named, str) and named in NAMES:
        dtype = dtype_of(named)
        return dtype if dtype.itemsize == dataset.dtype.itemsize else None
    little: np.dtype = dataset.dtype.newbyteorder("<")
    return little if little.name in NAMES else None
