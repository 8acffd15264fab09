"""A checkpoint's tensors as records: where their bytes lie and how they are laid out, no data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np

from remap.errors import CheckpointError, encodable
from remap.tensors.local_file import LocalFile, demand_unchanged, files_of


class Storage(Protocol):
    """A run of bytes that one tensor or several (tied weights, views) lie in."""

    @property
    def nbytes(self) -> int: ...

    @property
    def place(self) -> str:
        """File and byte range, for messages."""
        ...

    def map(self) -> np.ndarray:
        """All the bytes, read-only uint8 of shape ``(nbytes,)``; pages load when touched."""
        ...

    def drop_pages(self) -> None:
        """Give back what costs nothing to read again: pages of a mapped file count as this process's memory."""
        ...

    def release(self) -> None:
        """Give back all that reading took; the bytes can be read again."""
        ...


@dataclass(frozen=True, slots=True)
class FileStorage:
    """Bytes ``[offset, offset + nbytes)`` of a file."""

    file: LocalFile = field(repr=False)
    offset: int
    nbytes: int

    @property
    def place(self) -> str:
        return f"{self.file.path} bytes {self.offset}..{self.offset + self.nbytes}"

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """The file."""
        return (self.file,)

    def map(self) -> np.ndarray:
        data = self.file.bytes()[self.offset : self.offset + self.nbytes]
        if len(data) != self.nbytes:
            raise CheckpointError("file is shorter than its header says", where=self.place)
        return data

    def drop_pages(self) -> None:
        self.file.drop_pages(self.offset, self.offset + self.nbytes)

    def release(self) -> None:
        self.drop_pages()


@dataclass(frozen=True, slots=True)
class PartStorage:
    """Bytes ``[offset, offset + nbytes)`` of another storage."""

    whole: Storage
    offset: int
    nbytes: int

    @property
    def place(self) -> str:
        return f"{self.whole.place} bytes {self.offset}..{self.offset + self.nbytes}"

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """Those of the whole."""
        return files_of(self.whole)

    def map(self) -> np.ndarray:
        return self.whole.map()[self.offset : self.offset + self.nbytes]

    def drop_pages(self) -> None:
        self.whole.drop_pages()

    def release(self) -> None:
        """The whole stays: other parts would make it anew."""
        self.whole.drop_pages()


@dataclass(frozen=True, slots=True, eq=False)
class ArrayStorage:
    """Bytes that are in memory already."""

    array: np.ndarray = field(repr=False)
    place: str = "memory"

    @property
    def nbytes(self) -> int:
        return int(self.array.nbytes)

    def map(self) -> np.ndarray:
        return self.array.reshape(-1).view(np.uint8)

    def drop_pages(self) -> None:
        """There are none."""

    def release(self) -> None:
        """Memory that others own is theirs to give back."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One named tensor of a checkpoint.

    Args:
        name: Key in the state_dict, wrappers peeled.
        shape: Sizes, in elements.
        dtype: Little-endian numpy dtype (ml_dtypes for bfloat16 and float8).
        strides: Step of each axis, in elements of the storage.
        storage: The bytes it lies in.
        offset: First element, in elements from the start of the storage.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]
    storage: Storage
    offset: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor when dense; its storage may be larger."""
        return self.size * self.dtype.itemsize

    def array(self) -> np.ndarray:
        """A read-only view of the tensor's elements, shape and strides as declared, no copy.

        Raises:
            CheckpointError: The declared layout reaches outside of the storage.
        """
        if self.size == 0:
            return np.empty(self.shape, self.dtype)
        item = self.dtype.itemsize
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if self.offset < 0 or min(self.strides, default=0) < 0 or (last + 1) * item > self.storage.nbytes:
            raise CheckpointError(
                "tensor reaches outside of its storage",
                where=f"{self.name} in {self.storage.place}",
                found=f"elements {self.offset}..{last} of {item} bytes",
                expected=f"at most {self.storage.nbytes} bytes",
            )
        strides = tuple(s * item for s in self.strides)
        return np.ndarray(self.shape, self.dtype, self.storage.map(), self.offset * item, strides)


def dense_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a C-contiguous tensor.

    >>> dense_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


class SkipCode(Enum):
    """Why an entry of a checkpoint was passed over, where that matters to more than the reader."""

    QUANTIZED = "quantised, and reading it as float32 was not asked for"


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry of a checkpoint that is no usable tensor.

    Args:
        name: Its key, half characters made printable.
        reason: Why it was passed over, in words, likewise.
        code: The same as a code, where there is one.
    """

    name: str
    reason: str
    code: SkipCode | None = None

    @property
    def fix(self) -> str:
        """What to do where its numbers are needed."""
        if self.code is SkipCode.QUANTIZED:
            return "--dequantize (dequantize=True in Python) reads it as float32"
        return "save the checkpoint with it as a plain dense tensor of numbers"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", encodable(self.name))
        object.__setattr__(self, "reason", encodable(self.reason))


class Checkpoint(Mapping[str, Tensor]):
    """A read-only mapping from state_dict keys, in file order, to :class:`Tensor` records.

    Args:
        path: The file or folder that was opened; text as it was given where that was a URL.
        format: What it is, for people: ``"torch zip"``, ``"safetensors"``, ``"sharded safetensors"`` ...
        tensors: The records.
        peeled: Wrappers that were taken off, outermost first: ``"['state_dict']"``, ``"prefix 'module.'"``; and modules
            that were joined.
        skipped: What else the file holds: optimizer state, numbers, objects.
        kind: The name by which code knows its format; empty where it is none of a file.

    >>> from remap.tensors.tensor import ArrayStorage, Tensor
    >>> w = Tensor("w", (2,), np.dtype("f4"), (1,), ArrayStorage(np.ones(2, "f4")))
    >>> Checkpoint(Path("a.pt"), "memory", {"w": w})["w"].array().tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        path: Path | str,
        format: str,
        tensors: Mapping[str, Tensor],
        peeled: tuple[str, ...] = (),
        skipped: tuple[Skipped, ...] = (),
        kind: str = "",
    ) -> None:
        self.path = path
        self.format = format
        self.peeled = peeled
        self.skipped = skipped
        self.kind = kind
        self._tensors = dict(tensors)

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def demand_unchanged(self) -> None:
        """Raise unless the files that the tensors lie in are those whose headers were read.

        Raises:
            CheckpointError: One was replaced or written to since.
        """
        storages = {id(tensor.storage): tensor.storage for tensor in self._tensors.values()}
        demand_unchanged(dict.fromkeys(file for storage in storages.values() for file in files_of(storage)))

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors, each counted dense."""
        return sum(tensor.nbytes for tensor in self._tensors.values())
