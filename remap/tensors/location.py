"""Where a checkpoint lies: a path on this machine or a URL, with the files beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from remap.errors import CheckpointError, Problem
from remap.tensors.blob import Blob, FileBlob
from remap.tensors.names import is_text


class Location(Protocol):
    """A file or folder of either kind."""

    @property
    def name(self) -> str:
        """Path or URL, for messages."""
        ...

    def exists(self) -> bool: ...

    def is_folder(self) -> bool: ...

    def names(self) -> list[str]:
        """Names of the files in a folder, sorted."""
        ...

    def child(self, name: str) -> Location:
        """A file of a folder."""
        ...

    def parent(self) -> Location:
        """The folder of a file."""
        ...

    def escape(self, name: str) -> str:
        """Why the file ``name`` of a folder is not really inside of it, empty if it is."""
        ...

    def blob(self) -> Blob:
        """The bytes of a file."""
        ...


class LocalPath:
    """A path on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def exists(self) -> bool:
        return self._looked(self.path.exists)

    def is_folder(self) -> bool:
        return self._looked(self.path.is_dir)

    def _looked(self, look: Callable[[], bool]) -> bool:
        try:
            return look()
        except OSError as error:
            raise CheckpointError("cannot read the checkpoint", where=self.name, found=str(error)) from error

    def names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self.path.iterdir() if entry.is_file())
        except OSError as error:
            raise CheckpointError("cannot read the folder", where=self.name, found=str(error)) from error

    def child(self, name: str) -> Location:
        return LocalPath(self.path / name)

    def parent(self) -> Location:
        return LocalPath(self.path.parent)

    def escape(self, name: str) -> str:
        try:
            folder = self.path.resolve()
            target = (folder / name).resolve()
        except (OSError, RuntimeError) as error:
            return str(error)
        inside = target.is_relative_to(folder) or _in_hub_cache(folder, target)
        return "" if inside else f"it is a link to {target}"

    def blob(self) -> Blob:
        return FileBlob(self.path)


def is_url(path: str) -> bool:
    """Whether ``path`` is a URL and no path.

    >>> is_url("s3://bucket/a.pt"), is_url("C:/a.pt")
    (True, False)
    """
    return "://" in path


def _in_hub_cache(folder: Path, target: Path) -> bool:
    """Whether a link is one of the Hugging Face hub's cache: ``snapshots/REVISION/FILE`` to ``blobs/HASH``."""
    return folder.parent.name == "snapshots" and target.parent == folder.parent.parent / "blobs"


def is_outside(name: str) -> bool:
    """Whether the name of a file below a folder leads out of it, whatever the folder holds.

    >>> is_outside("2_Dense/a.bin"), is_outside("../a.bin"), is_outside("/a.bin")
    (False, True, True)
    """
    return not is_text(name) or any(sign in name for sign in "\0\\:") or name.startswith("/") or ".." in name.split("/")


def listed_file(folder: Location, name: str, owner: str) -> Problem | None:
    """What is wrong with a file that an index (``owner``) says is in ``folder``, None if nothing."""
    where = f"{name!r:.200} in {owner}"
    if not name or is_outside(name):
        return Problem("index names a file outside of its folder", where=where, fix="do not use this index")
    if reason := folder.escape(name):
        return Problem("index names a file outside of its folder", where=where, found=reason)
    if not folder.child(name).exists():
        return Problem("shard is missing", where=where, fix="fetch the missing file; an index needs all of its shards")
    return None
