"""Storage whose bytes are made when they are first read: inflated, fetched, joined, dequantised."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from remap.errors import CheckpointError
from remap.tensors.handles import Handles
from remap.tensors.local_file import LocalFile, files_of
from remap.tensors.pwrite import write_all

IN_MEMORY = 64 << 20
"""Bytes up to which they are made in memory; what is larger goes into a file without a name, and is mapped."""
PIECE = 4 << 20
"""Bytes that are made at a time."""

Write = Callable[[int, Any], None]
"""Takes the position of some of the bytes, and a buffer that holds them."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ComputedStorage:
    """Bytes that are made when they are first asked for and dropped when released.

    Args:
        nbytes: How many there will be.
        place: Where they come from, for messages.
        make: Makes them in pieces, each handed to the function that it is given. Where the storage is to be pickled,
            a record of what to do and no closure.
    """

    nbytes: int
    place: str
    make: Callable[[Write], None]

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """Those that the bytes are made from."""
        return files_of(self.make)

    @property
    def mapped(self) -> mmap.mmap | None:
        """The file they are in now, where they are many."""
        made = _MADE.there(self)
        return None if made is None else made.mapped

    def map(self) -> np.ndarray:
        return _MADE.get(self, self._made).array

    def drop_pages(self) -> None:
        mapped = self.mapped
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)

    def release(self) -> None:
        _MADE.drop(self)

    def _made(self) -> _Made:
        made = self._in_memory() if self.nbytes <= IN_MEMORY else self._in_file()
        made.array.flags.writeable = False
        return made

    def _in_memory(self) -> _Made:
        array = np.empty(self.nbytes, np.uint8)

        def write(at: int, data: memoryview) -> None:
            array[at : at + len(data)] = data

        self._fill(write)
        return _Made(array)

    def _in_file(self) -> _Made:
        folder = temporary_folder()
        try:
            if shutil.disk_usage(folder).free < self.nbytes:
                raise OSError("there is no room for it")
            with tempfile.TemporaryFile(dir=folder) as file:
                self._fill(lambda at, data: write_all(file.fileno(), data, at))
                mapped = mmap.mmap(file.fileno(), self.nbytes, access=mmap.ACCESS_READ)
        except OSError as error:
            raise CheckpointError(
                "a large tensor that cannot be read in place needs a temporary file",
                where=self.place,
                found=f"{error}, in {folder}",
                expected=f"{self.nbytes} bytes",
                fix="set the environment variable TMPDIR to a folder on a disk with room",
            ) from error
        return _Made(np.frombuffer(mapped, np.uint8), mapped)

    def _fill(self, write: Write) -> None:
        """Have the bytes made, and hold their number against what was announced."""
        done = 0

        def counted(at: int, data: Any) -> None:
            nonlocal done
            view = memoryview(data).cast("B")
            done += len(view)
            if at + len(view) > self.nbytes:
                raise self._other_size(f"more than {self.nbytes} bytes")
            write(at, view)

        self.make(counted)
        if done != self.nbytes:
            raise self._other_size(f"{done} bytes")

    def _other_size(self, size: str) -> CheckpointError:
        return CheckpointError(
            "data has another size than its header says",
            where=self.place,
            found=size,
            expected=f"{self.nbytes} bytes",
            fix="the file is truncated or damaged: fetch it again",
        )


@dataclass(slots=True)
class _Made:
    """Bytes that were made, and the file they are in where they are many."""

    array: np.ndarray
    mapped: mmap.mmap | None = None


_MADE: Handles[ComputedStorage, _Made] = Handles()


def kept(storage: ComputedStorage) -> bytes | mmap.mmap:
    """All bytes of a storage for as long as the result lives: in memory, or mapped where they are many."""
    made = storage.map()
    return made.tobytes() if storage.mapped is None else storage.mapped


def temporary_folder() -> Path:
    """Where large temporary files go: what ``TMPDIR`` says, else where systems keep a disk for them."""
    large = Path("/var/tmp")
    return large if "TMPDIR" not in os.environ and os.access(large, os.W_OK) else Path(tempfile.gettempdir())
