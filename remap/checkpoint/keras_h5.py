"""Keras weight files in HDF5, read as named tensors: what remap writes can be looked at like any other.

Both layouts are read: the datasets of ``.weights.h5`` by path, those of the legacy ``.h5`` likewise.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from remap.checkpoint.computed import PIECE, ComputedStorage, Write
from remap.checkpoint.contents import MAX_EXPANSION
from remap.checkpoint.tensor import Checkpoint, FileStorage, MappedFile, Skipped, Tensor, dense_strides
from remap.dtypes import NAMES, dtype_of
from remap.errors import CheckpointError

MAX_RATIO = 1000
"""How much smaller than its numbers a dataset may be stored, of those that are large: as Keras itself has it."""
MAGIC = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Whether a file starts as HDF5 files do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def open_keras_h5(path: Path) -> Checkpoint:
    """All datasets of an HDF5 file by path; they stay on disk until they are read.

    Raises:
        CheckpointError: The file is damaged.
    """
    return read_keras_h5(path, "", MappedFile(path), 0, path.stat().st_size)


def read_keras_h5(path: Path, label: str, mapped: MappedFile, start: int, nbytes: int) -> Checkpoint:
    """All datasets of an HDF5 file that fills a range of another file.

    Args:
        path: The outer file.
        label: What to call it; told by its layout if empty.
        mapped: The outer file's bytes.
        start: First byte of the HDF5 file.
        nbytes: Its length.

    Raises:
        CheckpointError: It is damaged.
    """
    import h5py

    tensors: dict[str, Tensor] = {}
    skipped: list[Skipped] = []

    whole = start == 0 and nbytes == path.stat().st_size

    def opened() -> Any:
        return h5py.File(path if whole else _Window(mapped.bytes()[start : start + nbytes]), "r")

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            tensor = _tensor(name, item, mapped, start, opened)
            if tensor is None:
                skipped.append(Skipped(name, f"dataset of {item.dtype}"))
            else:
                tensors[name] = tensor

    try:
        with opened() as file:
            file.visititems(visit)
            kind = "Keras legacy h5" if "layer_names" in _attributes(file) else "Keras weights.h5"
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(
            "cannot read the HDF5 file", where=str(path), found=str(error), fix="it is damaged: write it again"
        ) from error
    return Checkpoint(path, label or kind, tensors, skipped=tuple(skipped))


class _Window(io.RawIOBase):
    """Mapped bytes as a file to be read: what h5py reads of it is all that is loaded."""

    def __init__(self, data: np.ndarray) -> None:
        self._data = data
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, len(self._data))[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = self._data[self._at : self._at + len(buffer)]
        memoryview(buffer)[: len(part)] = part.data
        self._at += len(part)
        return len(part)


def _attributes(file: Any) -> set[str]:
    """Attribute names of the root and of ``model_weights``, the running number of split ones removed."""
    groups = [file, *([file["model_weights"]] if "model_weights" in file else [])]
    return {name.rstrip("0123456789") for group in groups for name in group.attrs}


def _tensor(name: str, dataset: Any, mapped: MappedFile, start: int, opened: Callable[[], Any]) -> Tensor | None:
    dtype = _dtype(dataset)
    if dtype is None:
        return None
    shape = tuple(dataset.shape)
    offset = dataset.id.get_offset()
    nbytes = prod(shape) * dtype.itemsize
    if offset is None or dataset.external or dataset.is_virtual:
        if nbytes > max(dataset.id.get_storage_size() * MAX_RATIO, MAX_EXPANSION):
            raise CheckpointError(
                "dataset of an absurd shape",
                where=f"{name} in {mapped.path}",
                found=f"{nbytes} bytes, few stored",
            )
        packed = ComputedStorage(nbytes, f"{name} in {mapped.path}", _unpacker(name, dtype, opened))
        return Tensor(name, shape, dtype, dense_strides(shape), packed)
    return Tensor(name, shape, dtype, dense_strides(shape), FileStorage(mapped, start + offset, nbytes))


def _unpacker(name: str, dtype: np.dtype, opened: Callable[[], Any]) -> Callable[[Write], None]:
    """Reads a dataset that is packed or lies in chunks, some rows at a time."""

    def make(write: Write) -> None:
        try:
            with opened() as file:
                dataset = file[name]
                if not dataset.shape:
                    write(0, dataset[()].tobytes())
                    return
                row = prod(dataset.shape[1:]) * dtype.itemsize
                rows = max(PIECE // max(row, 1), 1)
                for at in range(0, dataset.shape[0], rows):
                    write(at * row, np.ascontiguousarray(dataset[at : at + rows]).reshape(-1).view(np.uint8).data)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise CheckpointError(
                "cannot read a dataset of an HDF5 file", where=name, found=str(error),
                fix="it is damaged: write it again",
            ) from error  # fmt: skip

    return make


def _dtype(dataset: Any) -> np.dtype | None:
    """The element type: Keras stores bfloat16 as opaque bytes with its name in an attribute."""
    named = dataset.attrs.get("dtype")
    if isinstance(named, str) and named in NAMES:
        return dtype_of(named)
    little: np.dtype = dataset.dtype.newbyteorder("<")
    return little if little.name in NAMES else None
