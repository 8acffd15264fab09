"""Bytes written to a place in an open file, all of them."""

from __future__ import annotations

import os
from threading import Lock

WRITE_BYTES = 256 * 1024
"""What one call writes: for larger ones the kernel looks for 2 MB of memory in one piece, which is dear."""
_SEEKING = Lock()
"""Held while a file's position is in use, on systems that cannot write without it (Windows)."""


def write_all(handle: int, data: memoryview | bytes, offset: int) -> None:
    """Write ``data`` at byte ``offset`` of an open file, in as many calls as it takes.

    Raises:
        OSError: The disk is full or fails.
    """
    write_at = getattr(os, "pwrite", _seek_and_write)
    left = memoryview(data)
    while left:
        written = write_at(handle, left[:WRITE_BYTES], offset)
        left, offset = left[written:], offset + written


def _seek_and_write(handle: int, data: memoryview, offset: int) -> int:
    """What ``os.pwrite`` does."""
    with _SEEKING:
        os.lseek(handle, offset, os.SEEK_SET)
        return os.write(handle, data)
