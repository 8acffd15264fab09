"""A file of this machine as it was when it was first looked at: read later, it must still be the same."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from remap.errors import CheckpointError, Problem
from remap.tensors.handles import Handles

FIX = "run it again when nothing writes there any more, or give a copy of the file"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class LocalFile:
    """A file and what tells it from another that takes its name, and from itself after it was written to.

    Args:
        path: Where it is.
        device: Of the file system.
        inode: Number of the file there.
        size: Bytes.
        modified: When it was written last, in nanoseconds.
    """

    path: str
    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def at(cls, path: Path | str) -> LocalFile:
        """The file that is there now.

        Raises:
            OSError: There is none that can be looked at.
        """
        return cls._of(str(path), Path(path).stat())

    @classmethod
    def _of(cls, path: str, status: os.stat_result) -> LocalFile:
        return cls(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def open(self) -> BinaryIO:
        """The file, opened.

        Raises:
            OSError: It cannot be.
            CheckpointError: Another one is there, or it was written to.
        """
        file = Path(self.path).open("rb")  # noqa: SIM115 - the caller closes it
        try:
            problem = self._changed(LocalFile._of(self.path, os.fstat(file.fileno())))
            if problem is not None:
                raise CheckpointError(problem)
        except BaseException:
            file.close()
            raise
        return file

    def change(self) -> Problem | None:
        """What became of the file, None where it is as it was."""
        try:
            return self._changed(LocalFile.at(self.path))
        except OSError as error:
            return Problem(
                "the checkpoint was taken away while it was read", where=self.path, found=str(error), fix=FIX
            )

    def bytes(self) -> np.ndarray:
        """The whole file, read-only uint8 of shape ``(size,)``, mapped into memory when first asked for.

        Raises:
            CheckpointError: It cannot be read, another one is there, or it was written to.
        """
        return _MAPS.get(self, self._map).bytes

    def drop_pages(self, start: int, stop: int) -> None:
        """Drop the resident pages of a byte range."""
        mapped = _MAPS.there(self)
        if mapped is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        first = start - start % mmap.PAGESIZE
        mapped.map.madvise(mmap.MADV_DONTNEED, first, min(stop, len(mapped.map)) - first)

    def _map(self) -> _Mapped:
        try:
            with self.open() as file:
                return _Mapped(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise CheckpointError("cannot read file", where=self.path, found=str(error)) from error

    def _changed(self, now: LocalFile) -> Problem | None:
        if now == self:
            return None
        other = (now.device, now.inode) != (self.device, self.inode)
        return Problem(
            f"the checkpoint was {'replaced' if other else 'written to'} while it was read",
            where=self.path,
            found="another file under its name" if other else f"{now.size} bytes, another time of writing",
            expected=f"the file whose header was read, of {self.size} bytes",
            fix=FIX,
        )


class _Mapped:
    """A file that is mapped read-only into memory."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self.map = mapped
        self.bytes = np.frombuffer(mapped, np.uint8)


_MAPS: Handles[LocalFile, _Mapped] = Handles()


def demand_unchanged(files: Iterable[LocalFile]) -> None:
    """Raise unless files are as they were when they were first looked at.

    Raises:
        CheckpointError: Lists all that are not.
    """
    problems = [problem for file in files if (problem := file.change()) is not None]
    if problems:
        raise CheckpointError(problems)


def files_of(record: object) -> tuple[LocalFile, ...]:
    """The files of this machine that a storage or a blob reads from; none of what lies in memory or behind a URL."""
    files: tuple[LocalFile, ...] = getattr(record, "files", ())
    return files
