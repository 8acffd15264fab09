"""Starting the disk early, so that little is left to wait for at the end."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

_START_WRITE = 2
"""SYNC_FILE_RANGE_WRITE of Linux's <fcntl.h>: start on all that is dirty, wait for nothing."""


def start_writeback(handle: int) -> None:
    """Let the disk start on what an open file has in the page cache. Where the system cannot, nothing happens."""
    sync_file_range = _sync_file_range()
    if sync_file_range is not None:
        sync_file_range(handle, 0, 0, _START_WRITE)


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    try:
        found = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError, TypeError):
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    found.restype = ctypes.c_int
    return found
