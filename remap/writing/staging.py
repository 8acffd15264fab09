"""Output that appears whole or not at all: temporary files beside it, renamed when they are safe on disk."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from remap.errors import UsageError, WriteError
from remap.writing.temporary import KEPT, beside, clear_abandoned, create, create_owned, kept, lock, turn

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
    """Temporary files that take their final names together when the block ends well.

    Each lies beside its final place as ``.NAME.TOKEN.tmp``. When the block fails or is interrupted they are removed;
    when the process is killed they stay, under that name, until the next run for that output clears them away.

    Of several files the last is the one that names the others: an index. Where there was one before, it is taken away
    first, then the others take their names, and it comes last: what is killed in between has no index, so old and new
    files are never read as one. The old files are kept as ``.NAME.TOKEN.old`` until the new output is whole.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Staging() as staging:
    ...     _ = staging.temporary(folder / "a.txt").write_text("hello")
    ...     [path.name.endswith(".tmp") for path in folder.iterdir()]
    [True]
    >>> [path.name for path in folder.iterdir()]
    ['a.txt']

    Attributes:
        nbytes: The size of the files, once they have their names.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._finals: dict[Path, Path] = {}
        self._scratch: list[Path] = []
        self._fresh: list[Path] = []
        self._after: list[Callable[[], Path | None]] = []
        self._made: list[Path] = []
        self._token = ""
        self._locked = Path()
        self._handles: list[int] = []

    @property
    def finals(self) -> tuple[Path, ...]:
        """The files by their final names, and those that were made afterwards."""
        return (*self._finals.values(), *self._made)

    def temporary(self, final: Path, replace: bool = True) -> Path:
        """Where to write what will be ``final``: an empty file.

        Args:
            final: Its name in the end.
            replace: Whether it takes the place of a file that has the name by then.

        Raises:
            OSError: It cannot be made.
        """
        path = self._create(final)
        self._finals[path] = final
        if not replace:
            self._fresh.append(final)
        return path

    def scratch(self, near: Path) -> Path:
        """Where to write what is needed on the way only."""
        path = self._create(near)
        self._scratch.append(path)
        return path

    def after(self, make: Callable[[], Path | None]) -> None:
        """Have a file made once the others have their names: ``make`` gives its path, None where it made none."""
        self._after.append(make)

    def _create(self, final: Path) -> Path:
        clear_abandoned(final)
        if not self._token:
            self._token, handle = create_owned(final)
            self._handles.append(handle)
            self._locked = beside(final, self._token)
        else:
            os.close(create(beside(final, self._token)))
        return beside(final, self._token)

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None and self._finals:
                self._commit()
        finally:
            for path in (*self._finals, *self._scratch):
                path.unlink(missing_ok=True)
            for handle in self._handles:
                os.close(handle)

    def _commit(self) -> None:
        *parts, (index, last) = self._finals.items()
        for path in self._finals:
            _sync(path, os.O_RDWR)
        self.nbytes = sum(path.stat().st_size for path in self._finals)
        if index != self._locked:  # it stays when the first of the files, which is locked, has its name
            self._handles.append(os.open(index, os.O_RDWR))
            lock(self._handles[-1], wait=True)
        with turn(last):
            for final in self._fresh:
                _check_free(final, force=False)
            if parts:
                self._exchange(parts, index, last)
            else:
                index.replace(last)
        _sync_folder(last.parent)
        for made in (make() for make in self._after):
            if made is not None:
                self._made.append(made)
                self.nbytes += made.stat().st_size

    def _exchange(self, parts: list[tuple[Path, Path]], index: Path, last: Path) -> None:
        """Let several files take their names, or none of them."""
        moved: list[Path] = []
        try:
            for path, final in ((index, last), *parts):
                moved.append(final)
                with suppress(FileNotFoundError):
                    final.rename(self._kept(final))
                if final != last:
                    path.replace(final)
            _sync_folder(last.parent)
            index.replace(last)
        except BaseException:
            if index.exists():  # an interrupt may come when all is done
                self._restore(moved)
            raise
        finally:
            if not index.exists():
                for path in (old for final in moved for old in kept(final)):
                    path.unlink(missing_ok=True)

    def _restore(self, finals: list[Path]) -> None:
        """Give old files their names back, that of the index last."""
        for final in reversed(finals):
            old = self._kept(final)
            if old.exists():
                old.replace(final)
            elif not beside(final, self._token).exists():
                final.unlink(missing_ok=True)

    def _kept(self, final: Path) -> Path:
        return beside(final, self._token, KEPT)


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
