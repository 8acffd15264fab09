"""An output laid out before a byte of it is written: files, where each variable goes in them, and what stands beside.

A sheet is data. Whoever holds it can fill it: one engine here, several workers, or the parts of an upload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from remap.planning.plan import Assignment


@dataclass(frozen=True, slots=True)
class Region:
    """Where the bytes of one variable go.

    Args:
        assignment: The variable.
        offset: First byte in the file.
        dtype: Element type in the file.
    """

    assignment: Assignment
    offset: int
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return prod(self.assignment.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class FixedBytes:
    """Bytes that are known: headers, directories, indexes.

    Args:
        offset: First byte in the file.
        data: They.
    """

    offset: int
    data: bytes


ReadBytes = Callable[[int, int, int], bytes]
"""Bytes of a sheet that is filled: number of the file, first byte, how many."""


class Closing(Protocol):
    """What a file gets when all variables of the sheet up to and in this file are in place: checksums of them."""

    def pieces(self, read: ReadBytes) -> Iterator[FixedBytes]:
        """The bytes, each at its place."""
        ...


@dataclass(frozen=True, slots=True)
class SheetFile:
    """One file of an output. No byte belongs to two of its parts; what belongs to none is zero.

    Args:
        path: Its final name.
        size: Bytes in all.
        regions: The variables in it, in the order in which they are best written.
        fixed: What is known beforehand.
        closing: What is known in the end.
        shared: Whether it is no output of its own, but kept for all of a folder: it is replaced without being asked.
    """

    path: Path
    size: int
    regions: tuple[Region, ...] = ()
    fixed: tuple[FixedBytes, ...] = ()
    closing: Closing | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """One output: its files in the order in which they are filled, an index behind what it speaks of."""

    files: tuple[SheetFile, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all variables in it."""
        return sum(region.nbytes for file in self.files for region in file.regions)


def fixed_file(path: Path, text: str, *, shared: bool = False) -> SheetFile:
    """A file that is known whole.

    >>> fixed_file(Path("index.json"), "{}").size
    2
    """
    data = text.encode()
    return SheetFile(path, len(data), fixed=(FixedBytes(0, data),), shared=shared)
