"""Temporary files beside an output, and whose they are: a lock that the system takes from a process that dies.

They are called ``.NAME.TOKEN.tmp``, with a random token of each run: processes in two containers that share a folder
can have one number. The first of a run is locked (``flock``). Where the system or the disk has no such locks, no run
can tell whether another is still alive: what a killed one leaves stays there.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system without flock
    fcntl = None  # type: ignore[assignment]

TEMPORARY, KEPT = "tmp", "old"
_NAME = re.compile(rf"\.(.+)\.([0-9a-f]{{8}})\.({TEMPORARY}|{KEPT})", re.DOTALL)


def new_token() -> str:
    """What tells the files of one run from those of any other."""
    return os.urandom(4).hex()


def beside(path: Path, token: str, kind: str = TEMPORARY) -> Path:
    """The temporary name of a file.

    >>> beside(Path("a/w.h5"), "0123abcd").name
    '.w.h5.0123abcd.tmp'
    """
    return path.with_name(f".{path.name}.{token}.{kind}")


def lock(handle: int, wait: bool = False) -> bool | None:
    """Lock an open file: whether that went well, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a disk without them
        return None
    return True


def create(path: Path) -> int:
    """Make an empty file that was not there before; an open handle to it.

    Raises:
        OSError: It exists, or cannot be made.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def create_owned(final: Path) -> tuple[str, int]:
    """Make the first temporary file of a run: its token, and the handle that holds its lock.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        token = new_token()
        path = beside(final, token)
        try:
            handle = create(path)
        except FileExistsError:
            continue
        if lock(handle) is not False and _is(handle, path):
            return token, handle
        os.close(handle)  # another run has taken it for one that nobody owns


def clear_abandoned(final: Path) -> None:
    """Remove the temporary files of runs that began to write ``final`` and are dead."""
    runs: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in final.parent.iterdir():
        match = _NAME.fullmatch(path.name)
        if match and match[3] == TEMPORARY:
            runs[match[2]][match[1]] = path
    for files in runs.values():
        if final.name in files:
            _clear(list(files.values()))


def kept(final: Path) -> list[Path]:
    """Copies of an earlier ``final`` that runs which were killed have put aside."""
    names = ((path, _NAME.fullmatch(path.name)) for path in final.parent.iterdir())
    return [path for path, match in names if match and match[1] == final.name and match[3] == KEPT]


def _clear(files: list[Path]) -> None:
    """Remove the files of one run, unless one of them is locked or locks tell nothing."""
    handles: list[int] = []
    try:
        for path in files:
            handles.append(os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)))
            if not lock(handles[-1]):
                return
        for path in files:
            path.unlink(missing_ok=True)
    except OSError:  # it is another user's, or another run clears it just now
        return
    finally:
        for handle in handles:
            os.close(handle)


@contextmanager
def turn(final: Path) -> Iterator[None]:
    """Let one process at a time rename the files of the output that ends with ``final``; others wait.

    Raises:
        OSError: The lock's file cannot be made.
    """
    if fcntl is None:
        yield
        return
    path = final.with_name(f".{final.name}.lock")
    handle = _open_lock(path)
    while lock(handle, wait=True) and not _is(handle, path):  # who had it has removed it
        os.close(handle)
        handle = _open_lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # a killed run of another user has left it
        return os.open(path, os.O_RDONLY)


def _is(handle: int, path: Path) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False
