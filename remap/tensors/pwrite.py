"""Bytes written to a place in an open file, all of them."""

from __future__ import annotations

import os

WRITE_BYTES = 256 * 1024
"""What one call writes: for larger ones the kernel looks for 2 MB of memory in one piece, which is dear."""


def write_all(handle: int, data: memoryview | bytes, offset: int) -> None:
    """Write ``data`` at byte ``offset`` of an open file, in as many calls as it takes.

    Raises:
        OSError: The disk is full or fails.
    """
    left = memoryview(data)
    while left:
        written = os.pwrite(handle, left[:WRITE_BYTES], offset)
        left, offset = left[written:], offset + written
