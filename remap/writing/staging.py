"""Output that appears whole or not at all: temporary files beside it, renamed when they are safe on disk."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from remap.errors import UsageError, WriteError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""How the path starts that is made of a URL; a drive has one letter."""

NO_FOLDERS = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""What systems say that cannot open a folder (Windows) or wait for one (some network disks)."""


def check_free(path: Path, force: bool) -> None:
    """Raise unless a file can be made.

    Raises:
        UsageError: It is a URL, its folder is missing, or it exists and ``force`` is not given.
        WriteError: Its folder cannot be looked into.
    """
    try:
        _check_free(path, force)
    except OSError as error:
        raise write_error(error, path) from error


def _check_free(path: Path, force: bool) -> None:
    if path.parts and URL.fullmatch(path.parts[0]):
        raise UsageError(
            "the output is a URL",
            where=str(path),
            expected="a path on this machine",
            fix="write a local file, then copy it there",
        )
    if not path.parent.is_dir():
        raise UsageError("the output's folder does not exist", where=str(path.parent), fix=f"mkdir -p {path.parent}")
    if path.is_dir():
        raise UsageError("the output is a folder", where=str(path), expected="the name of a file")
    if path.exists() and not force:
        raise UsageError("the output exists already", where=str(path), fix="choose another name, or add --force")


def check_space(folder: Path, nbytes: int) -> None:
    """Raise unless ``nbytes`` more fit on the disk.

    Raises:
        WriteError: They do not.
    """
    free = shutil.disk_usage(folder).free
    if nbytes > free:
        raise WriteError(
            "not enough room on the disk",
            where=str(folder),
            found=f"{free:,} bytes free",
            expected=f"{nbytes:,} bytes",
            fix="make room, or write to another disk",
        )


class Staging:
    """Temporary files that take their final names together, in order, when the block ends well.

    Each lies beside its final place as ``.NAME.PID.tmp``. When the block fails or is interrupted they are removed;
    when the process is killed they stay, under that name.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Staging() as staging:
    ...     _ = staging.temporary(folder / "a.txt").write_text("hello")
    ...     [path.name for path in folder.iterdir()] == [f".a.txt.{os.getpid()}.tmp"]
    True
    >>> [path.name for path in folder.iterdir()]
    ['a.txt']
    """

    def __init__(self) -> None:
        self._finals: dict[Path, Path] = {}
        self._scratch: list[Path] = []

    @property
    def finals(self) -> tuple[Path, ...]:
        """The files by their final names."""
        return tuple(self._finals.values())

    def temporary(self, final: Path) -> Path:
        """Where to write what will be ``final``."""
        temporary = _beside(final)
        self._finals[temporary] = final
        return temporary

    def scratch(self, near: Path) -> Path:
        """Where to write what is needed on the way only."""
        self._scratch.append(_beside(near))
        return self._scratch[-1]

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            for path in (*self._finals, *self._scratch):
                path.unlink(missing_ok=True)

    def _commit(self) -> None:
        for path in self._finals:
            _sync(path, os.O_RDWR)
        moved: dict[Path, Path | None] = {}
        try:
            for path, final in self._finals.items():
                moved[final] = self._kept(final)
                path.replace(final)
        except BaseException:
            for final, kept in moved.items():
                if kept is not None:
                    kept.replace(final)
                elif not _beside(final).exists():
                    final.unlink(missing_ok=True)
            raise
        for folder in {final.parent for final in self._finals.values()}:
            _sync_folder(folder)

    def _kept(self, final: Path) -> Path | None:
        """Another name of a file that is about to be replaced, as one of several, None where it needs or has none."""
        if len(self._finals) == 1 or not final.exists():
            return None
        kept = self.scratch(final.with_name(f"{final.name}.old"))
        try:
            kept.hardlink_to(final)
        except (OSError, NotImplementedError):  # a disk or a system without links
            return None
        return kept


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write one file that takes the place of ``path`` when the block ends well.

    Raises:
        WriteError: The disk is full or fails.
    """
    try:
        with Staging() as staging:
            yield staging.temporary(path)
    except OSError as error:
        raise write_error(error, path) from error


def write_error(error: OSError, out: Path) -> WriteError:
    """What to tell of an output that the system did not let us write."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return WriteError(
        "the disk is full" if full else "the output cannot be written",
        where=str(out),
        found=str(error),
        fix="make room, or write to another disk" if full else "write where you may" if denied else "",
    )


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _sync(path: Path, mode: int) -> None:
    """Wait until a file or a folder is on the disk; some systems want it open for writing."""
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(path: Path) -> None:
    """Wait until names are on the disk, where the system has that for folders."""
    try:
        _sync(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in NO_FOLDERS:
            raise
