"""Bytes that can be read by range: a file, a part of one, or an object behind a URL."""

from __future__ import annotations

import mmap
import stat
from pathlib import Path
from typing import Protocol

import numpy as np

from remap.errors import CheckpointError
from remap.tensors.tensor import ArrayStorage, FileStorage, MappedFile, Storage


class Blob(Protocol):
    """What a reader of one file is given."""

    @property
    def name(self) -> str:
        """File name or URL, for messages."""
        ...

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    def read(self, start: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``start``.

        Raises:
            CheckpointError: They are not all there.
        """
        ...

    def buffer(self) -> bytes | mmap.mmap:
        """Everything, for formats that can only be read from front to back."""
        ...

    def storage(self, start: int, length: int) -> Storage:
        """A range as tensor storage, not read yet."""
        ...


def check_range(blob: Blob, start: int, length: int) -> None:
    """Raise unless ``[start, start + length)`` lies in ``blob``."""
    if start < 0 or length < 0 or start + length > blob.size:
        raise CheckpointError(
            "file ends too early",
            where=blob.name,
            found=f"{blob.size} bytes",
            expected=f"{length} bytes at {start}",
            fix="the file is truncated or damaged: fetch it again",
        )


class FileBlob:
    """A local file. It is not kept open: a checkpoint may have more shards than a process may have files.

    Raises:
        CheckpointError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._mapped = MappedFile(path)
        try:
            found = path.stat()
        except OSError as error:
            raise self._unreadable(error) from error
        if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
            raise CheckpointError(
                "not a file that can be read at any place",
                where=self.name,
                found="a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device",
                fix="save it to a file",
            )
        self.size = found.st_size

    def read(self, start: int, length: int) -> bytes:
        check_range(self, start, length)
        # Opened anew each time, so that threads that read at once share no position.
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                data = file.read(length)
        except OSError as error:
            raise self._unreadable(error) from error
        if len(data) != length:
            raise CheckpointError("file shrank while it was read", where=self.name)
        return data

    def buffer(self) -> bytes | mmap.mmap:
        if not self.size:
            return b""
        try:
            with self.path.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def storage(self, start: int, length: int) -> Storage:
        return FileStorage(self._mapped, start, length)

    def _unreadable(self, error: Exception) -> CheckpointError:
        return CheckpointError("cannot read the checkpoint", where=self.name, found=str(error))


class PartBlob:
    """A range of another blob, for files inside of files."""

    def __init__(self, whole: Blob, start: int, length: int, name: str) -> None:
        self._whole = whole
        self._start = start
        self.size = length
        self.name = f"{name} in {whole.name}"
        check_range(whole, start, length)

    def read(self, start: int, length: int) -> bytes:
        check_range(self, start, length)
        return self._whole.read(self._start + start, length)

    def buffer(self) -> bytes | mmap.mmap:
        return self._whole.read(self._start, self.size)

    def storage(self, start: int, length: int) -> Storage:
        check_range(self, start, length)
        return self._whole.storage(self._start + start, length)


class BytesBlob:
    """Bytes in memory, or in a file that is mapped into it."""

    def __init__(self, data: bytes | mmap.mmap, name: str) -> None:
        self._data = data
        self.size = len(data)
        self.name = name

    def read(self, start: int, length: int) -> bytes:
        check_range(self, start, length)
        return self._data[start : start + length]

    def buffer(self) -> bytes | mmap.mmap:
        return self._data

    def storage(self, start: int, length: int) -> Storage:
        check_range(self, start, length)
        return ArrayStorage(np.frombuffer(self._data, np.uint8, length, start), self.name)
