"""Bytes that can be read by range: a file, a part of one, or an object behind a URL."""

from __future__ import annotations

import mmap
import stat
from pathlib import Path
from typing import Protocol

import numpy as np

from remap.errors import CheckpointError
from remap.tensors.local_file import LocalFile, files_of
from remap.tensors.tensor import ArrayStorage, FileStorage, PartStorage, Storage


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
    """A local file as it is now; what is read of it later must be of the same.

    It is not kept open: a checkpoint may have more shards than a process may have files.

    Raises:
        CheckpointError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        try:
            status = path.stat()
            self._file = LocalFile.at(path)
        except OSError as error:
            raise self._unreadable(error) from error
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            raise CheckpointError(
                "not a file that can be read at any place",
                where=self.name,
                found="a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device",
                fix="save it to a file",
            )
        self.size = self._file.size

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """The file."""
        return (self._file,)

    def read(self, start: int, length: int) -> bytes:
        check_range(self, start, length)
        # Opened anew each time, so that threads that read at once share no position.
        try:
            with self._file.open() as file:
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
            with self._file.open() as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def storage(self, start: int, length: int) -> Storage:
        return FileStorage(self._file, start, length)

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

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """Those of the whole."""
        return files_of(self._whole)

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


class StorageBlob:
    """The bytes of a storage, as a blob: what must be inflated before it can be read by range.

    Args:
        storage: They; made when they are first read.
        name: For messages.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self.size = storage.nbytes
        self.name = name

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """Those of the storage."""
        return files_of(self._storage)

    def read(self, start: int, length: int) -> bytes:
        check_range(self, start, length)
        return self._storage.map()[start : start + length].tobytes()

    def buffer(self) -> bytes | mmap.mmap:
        return self.read(0, self.size)

    def storage(self, start: int, length: int) -> Storage:
        check_range(self, start, length)
        return PartStorage(self._storage, start, length)
