"""Checkpoints behind URLs (``https://``, ``hf://``, ``s3://``, ``memory://`` ...), read by range through fsspec."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from remap.checkpoint.blob import Blob, check_range
from remap.checkpoint.location import Location
from remap.checkpoint.tensor import ComputedStorage, Storage
from remap.errors import CheckpointError, MissingPackageError

T = TypeVar("T")


def is_url(path: str) -> bool:
    """Whether ``path`` is a URL and no path.

    >>> is_url("s3://bucket/a.pt"), is_url("C:/a.pt")
    (True, False)
    """
    return "://" in path


def _asked(url: str, ask: Callable[[], T]) -> T:
    """What a file system answers. Backends raise errors of their own kinds, which all mean that it cannot be read."""
    try:
        return ask()
    except ImportError as error:
        raise MissingPackageError(
            "a package for this kind of URL is not installed", where=url, found=str(error), fix=_install(url)
        ) from error
    except Exception as error:
        raise CheckpointError(
            "cannot read the URL", where=url, found=f"{type(error).__name__}: {error}", fix="check address and access"
        ) from error


def _install(url: str) -> str:
    backends = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "abfs": "adlfs"}
    return f"pip install 'remap[remote]' {backends.get(url.partition('://')[0], '')}".strip()


class RemoteLocation:
    """A URL.

    Raises:
        MissingPackageError: fsspec, or its package for this kind of URL, is not installed.
    """

    def __init__(self, url: str, system: Any = None) -> None:
        self.name = url.rstrip("/")
        if system is None:
            system = _asked(url, lambda: _file_system(url))
        self._system = system
        self._path = _asked(url, lambda: system._strip_protocol(self.name))

    def exists(self) -> bool:
        # Not the file system's own exists(): over HTTP that fetches the whole file.
        def ask() -> bool:
            try:
                return bool(self._system.info(self._path))
            except FileNotFoundError:
                return False

        return _asked(self.name, ask)

    def is_folder(self) -> bool:
        return not self._path.startswith("http") and bool(_asked(self.name, lambda: self._system.isdir(self._path)))

    def names(self) -> list[str]:
        found = _asked(self.name, lambda: self._system.ls(self._path, detail=True))
        return sorted(str(each["name"]).rpartition("/")[2] for each in found if each["type"] == "file")

    def child(self, name: str) -> Location:
        return RemoteLocation(f"{self.name}/{name}", self._system)

    def parent(self) -> Location:
        return RemoteLocation(self.name.rpartition("/")[0], self._system)

    def escape(self, name: str) -> str:
        return ""

    def blob(self) -> Blob:
        return RemoteBlob(self.name, self._system, self._path)


def _file_system(url: str) -> Any:
    import fsspec

    return fsspec.core.url_to_fs(url)[0]


class RemoteBlob:
    """A file behind a URL; every read is a request of its own."""

    def __init__(self, url: str, system: Any, path: str) -> None:
        self.name = url
        self._system = system
        self._path = path
        size = _asked(url, lambda: system.size(path))
        if type(size) is not int:
            raise CheckpointError(
                "server does not say how large the file is", where=url, fix="download it and open the local file"
            )
        self.size = size

    def read(self, start: int, length: int) -> bytes:
        check_range(self, start, length)
        if not length:
            return b""
        found: bytes = _asked(self.name, lambda: self._system.cat_file(self._path, start=start, end=start + length))
        if len(found) == self.size != length:
            found = found[start : start + length]
        if len(found) != length:
            raise CheckpointError(
                "server sent another range than was asked for",
                where=self.name,
                found=f"{len(found)} bytes",
                expected=f"{length} bytes at {start}",
            )
        return found

    def buffer(self) -> bytes | mmap.mmap:
        return self.read(0, self.size)

    def storage(self, start: int, length: int) -> Storage:
        check_range(self, start, length)
        place = f"{self.name} bytes {start}..{start + length}"
        return ComputedStorage(length, place, lambda: np.frombuffer(self.read(start, length), np.uint8))
