"""Keras weight files in HDF5, read as named tensors: what remap writes can be looked at like any other.

Both layouts are read: the datasets of ``.weights.h5`` by path, those of the legacy ``.h5`` likewise.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from remap.checkpoint.tensor import ArrayStorage, Checkpoint, FileStorage, MappedFile, Skipped, Tensor, dense_strides
from remap.dtypes import NAMES, dtype_of
from remap.errors import CheckpointError

MAGIC = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Whether a file starts as HDF5 files do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def open_keras_h5(path: Path) -> Checkpoint:
    """All datasets of an HDF5 file by path; contiguous ones stay on disk until they are read.

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

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            tensor = _tensor(name, item, mapped, start)
            if tensor is None:
                skipped.append(Skipped(name, f"dataset of {item.dtype}"))
            else:
                tensors[name] = tensor

    try:
        whole = start == 0 and nbytes == path.stat().st_size
        source = path if whole else _Window(mapped.bytes()[start : start + nbytes])
        with h5py.File(source, "r") as file:
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


def _tensor(name: str, dataset: Any, mapped: MappedFile, start: int) -> Tensor | None:
    dtype = _dtype(dataset)
    if dtype is None:
        return None
    shape = tuple(dataset.shape)
    offset = dataset.id.get_offset()
    if offset is None or dataset.external or dataset.is_virtual:
        array = np.ascontiguousarray(dataset[()]).view(dtype).reshape(shape)
        return Tensor(name, shape, dtype, dense_strides(shape), ArrayStorage(array, f"{mapped.path} {name}"))
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return Tensor(name, shape, dtype, dense_strides(shape), FileStorage(mapped, start + offset, nbytes))


def _dtype(dataset: Any) -> np.dtype | None:
    """The element type: Keras stores bfloat16 as opaque bytes with its name in an attribute."""
    named = dataset.attrs.get("dtype")
    if isinstance(named, str) and named in NAMES:
        return dtype_of(named)
    little: np.dtype = dataset.dtype.newbyteorder("<")
    return little if little.name in NAMES else None
