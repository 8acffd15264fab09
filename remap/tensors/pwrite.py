"""Bytes written to a place in an open file, all of them, and copied there from another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

WRITE_BYTES = 256 * 1024
"""What one call writes: for larger ones the kernel looks for 2 MB of memory in one piece, which is dear."""
COPY_BYTES = 1 << 20
"""What is read at a time of a file that is copied."""
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


def copy_data(source: Path, into: int, start: int) -> None:
    """Copy a file to byte ``start`` of an open one, holes left out where the system tells of them.

    Raises:
        OSError: The source cannot be read, or the disk is full or fails.
    """
    with source.open("rb", buffering=0) as file:
        for first, stop in _stretches(file.fileno()):
            file.seek(first)
            while first < stop and (data := file.read(min(COPY_BYTES, stop - first))):
                write_all(into, data, start + first)
                first += len(data)


def _stretches(handle: int) -> Iterator[tuple[int, int]]:
    """Where every stretch of a file that holds data begins and ends."""
    position, end = 0, os.fstat(handle).st_size
    if not hasattr(os, "SEEK_DATA"):
        yield position, end
        return
    while position < end:
        try:
            position = os.lseek(handle, position, os.SEEK_DATA)
        except OSError:  # nothing but a hole is left
            return
        stop = os.lseek(handle, position, os.SEEK_HOLE)
        yield position, stop
        position = stop


def _seek_and_write(handle: int, data: memoryview, offset: int) -> int:
    """What ``os.pwrite`` does."""
    with _SEEKING:
        os.lseek(handle, offset, os.SEEK_SET)
        return os.write(handle, data)
