"""Checkpoints behind URLs (``https://``, ``hf://``, ``s3://``, ``memory://`` ...), read by range through fsspec."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from remap.errors import CheckpointError, MissingPackageError
from remap.tensors.blob import Blob, check_range
from remap.tensors.computed import PIECE, ComputedStorage, Write, kept
from remap.tensors.handles import Handles
from remap.tensors.location import Location

T = TypeVar("T")


_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "abfs": "adlfs", "az": "adlfs"}
_ACCESS = {
    "s3": "run 'aws configure', or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket set "
    "FSSPEC_S3_ANON=true",
    "gs": "run 'gcloud auth application-default login'; for a public bucket set FSSPEC_GS_TOKEN=anon",
    "hf": "check the address; for a private or gated model run 'hf auth login' or set HF_TOKEN, and accept its licence",
}
_REFUSALS = {
    "PermissionError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "DefaultCredentialsError",
    "RefreshError",
    "GatedRepoError",
}
"""Errors of access, by name: the packages that they come from need not be installed."""
_UNREACHED = {"ClientConnectionError", "ConnectionError", "TimeoutError", "InvalidURL"}
_DENIED = (401, 403)
_LOGGERS = ("s3fs", "gcsfs", "google", "asyncio")


def _asked(url: str, ask: Callable[[], T]) -> T:
    """What a file system answers. Backends raise errors of their own kinds, which all mean that it cannot be read."""
    kind = url.partition("://")[0]
    try:
        return ask()
    except ImportError as error:
        raise MissingPackageError(
            "a package for this kind of URL is not installed",
            where=url,
            found=str(error),
            fix=f"pip install 'remap[remote]' {_PACKAGES.get(kind, '')}".strip(),
        ) from error
    except Exception as error:
        refused = _is_refused(error)
        raise CheckpointError(
            "access to the URL is refused" if refused else "cannot read the URL",
            where=url,
            found=_told(error),
            fix=_ACCESS.get(kind, "check your access") if refused else "check the address and the connection",
        ) from error


def _is_refused(error: BaseException) -> bool:
    """Whether a backend's error, or one that it comes from, is one of access."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in _REFUSALS or _status(cause) in _DENIED:
            return True
        if isinstance(cause, OSError) and str(cause).startswith("Forbidden"):  # gcsfs
            return True
        cause = cause.__cause__
    return False


def _is_unreached(error: BaseException) -> bool:
    """Whether an error comes from there being no connection, which fsspec calls a missing file over HTTP."""
    cause: BaseException | None = error
    while cause is not None:
        if not _UNREACHED.isdisjoint(kind.__name__ for kind in type(cause).__mro__):
            return True
        cause = cause.__cause__
    return False


def _status(error: BaseException) -> object:
    """The HTTP status that an error of aiohttp, of huggingface_hub or of gcsfs speaks of."""
    holder = getattr(error, "response", None) or error
    statuses = (getattr(holder, name, None) for name in ("status", "status_code", "code"))
    return next((status for status in statuses if status is not None), None)


def _told(error: BaseException) -> str:
    """The first line of what a backend says, which may be a page."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text:.300}".removesuffix(": ")


class RemoteLocation:
    """A URL.

    Raises:
        MissingPackageError: fsspec, or its package for this kind of URL, is not installed.
    """

    def __init__(self, url: str) -> None:
        self.name = url.rstrip("/")
        self._path = _asked(url, lambda: self._system._strip_protocol(self.name))

    @property
    def _system(self) -> Any:
        return _SYSTEMS.get(self, lambda: _file_system(self.name))

    def exists(self) -> bool:
        # Not the file system's own exists(): over HTTP that fetches the whole file, and elsewhere it hides errors.
        def ask() -> bool:
            try:
                return bool(self._system.info(self._path))
            except FileNotFoundError as error:
                if _is_refused(error) or _is_unreached(error):
                    raise
                return False

        return _asked(self.name, ask)

    def is_folder(self) -> bool:
        return not self._path.startswith("http") and bool(_asked(self.name, lambda: self._system.isdir(self._path)))

    def names(self) -> list[str]:
        listed = _asked(self.name, lambda: self._system.ls(self._path, detail=True))
        return sorted(str(each["name"]).rpartition("/")[2] for each in listed if each["type"] == "file")

    def child(self, name: str) -> Location:
        return RemoteLocation(f"{self.name}/{name}")

    def parent(self) -> Location:
        return RemoteLocation(self.name.rpartition("/")[0])

    def escape(self, name: str) -> str:
        return ""

    def blob(self) -> Blob:
        return RemoteBlob(self.name, self._path)


def _file_system(url: str) -> Any:
    import fsspec

    # Backends log what they raise, with tracebacks that Python prints where nobody has set logging up.
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(logging.NullHandler())
    return fsspec.core.url_to_fs(url)[0]


class RemoteBlob:
    """A file behind a URL; every read is a request of its own, and none asks for more than some megabytes."""

    def __init__(self, url: str, path: str) -> None:
        self.name = url
        self._path = path
        size = _asked(url, lambda: self._system.size(path))
        if type(size) is not int:
            raise CheckpointError(
                "server does not say how large the file is", where=url, fix="download it and open the local file"
            )
        self.size = size

    @property
    def _system(self) -> Any:
        return _SYSTEMS.get(self, lambda: _file_system(self.name))

    def read(self, start: int, length: int) -> bytes:
        check_range(self, start, length)
        if not length:
            return b""
        whole = _WHOLE.there(self)
        if whole is not None:
            return whole[start : start + length]
        data = _asked(self.name, lambda: self._fetch(start, length))
        if len(data) == self.size != length:
            data = data[start : start + length]
        if len(data) != length:
            raise CheckpointError(
                "server sent another range than was asked for",
                where=self.name,
                found=f"{len(data)} bytes",
                expected=f"{length} bytes at {start}",
                fix="try again; if it stays so, download the file by other means and open the local one",
            )
        return data

    def _fetch(self, start: int, length: int) -> bytes:
        data: bytes
        if self._system.async_impl:
            data = self._system.cat_file(self._path, start=start, end=start + length)
        else:  # cat_file would read ahead
            with self._system.open(self._path, "rb", cache_type="none") as file:
                file.seek(start)
                data = file.read(length)
        return data

    def buffer(self) -> bytes | mmap.mmap:
        return _WHOLE.get(self, lambda: kept(self.storage(0, self.size)))

    def storage(self, start: int, length: int) -> ComputedStorage:
        check_range(self, start, length)
        return ComputedStorage(length, f"{self.name} bytes {start}..{start + length}", Fetch(self, start, length))


@dataclass(frozen=True, slots=True)
class Fetch:
    """Reads a range of a file behind a URL, piece by piece."""

    blob: RemoteBlob
    start: int
    length: int

    def __call__(self, write: Write) -> None:
        for at in range(0, self.length, PIECE):
            write(at, self.blob.read(self.start + at, min(PIECE, self.length - at)))


_SYSTEMS: Handles[RemoteLocation | RemoteBlob, Any] = Handles()
"""fsspec's file systems: connections, sessions and secrets stay in the process."""
_WHOLE: Handles[RemoteBlob, bytes | mmap.mmap] = Handles()
