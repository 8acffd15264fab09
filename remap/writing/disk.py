"""What Linux can do for a large file beyond the portable calls: set its blocks aside, and start the disk early.

Where the system or the file system cannot, nothing happens and the file is written all the same.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from errno import ENOSPC
from functools import cache
from threading import Lock
from types import TracebackType
from typing import Any

START_BYTES = 64 * 1024 * 1024
"""How much is written before the disk is told to start on it."""
_KEEP_SIZE = 1
"""FALLOC_FL_KEEP_SIZE of Linux's <linux/falloc.h>."""
_START_WRITE = 2
"""SYNC_FILE_RANGE_WRITE of Linux's <fcntl.h>: start on all that is dirty, wait for nothing."""


def reserve(handle: int, start: int, stop: int) -> None:
    """Set blocks aside for the bytes ``[start, stop)`` of an open file: writing them is cheaper then.

    Raises:
        OSError: The disk is full.
    """
    fallocate = _function("fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate is not None and fallocate(handle, _KEEP_SIZE, start, stop - start):
        error = ctypes.get_errno()
        if error == ENOSPC:
            raise OSError(error, os.strerror(error))


class Writeback:
    """Starts the disk on a file while it is written, so that little is left to wait for at the end.

    In a thread of its own: the call is asynchronous, but waits while the disk's queue is full.

    Args:
        handle: The open file; it stays open until the block ends.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._start = _function("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_int)
        self._pool = ThreadPoolExecutor(1, "writeback")
        self._running: Future[int] | None = None
        self._waiting = 0
        self._lock = Lock()

    def wrote(self, nbytes: int) -> None:
        """Take note of bytes that were written; called from any thread."""
        with self._lock:
            self._waiting += nbytes
            busy = self._running is not None and not self._running.done()
            if self._start is None or busy or self._waiting < START_BYTES:
                return
            self._waiting = 0
            self._running = self._pool.submit(self._start, self._handle, 0, 0, _START_WRITE)

    def __enter__(self) -> Writeback:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown()


@cache
def _function(name: str, *arguments: Any) -> Callable[..., int] | None:
    """A function of the C library that returns an int, None where there is none."""
    try:
        function: Any = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError, TypeError):
        return None
    function.argtypes = arguments
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]
