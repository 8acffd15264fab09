"""Bytes that are read by range as a file that one can seek in, for libraries that want one."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any

from remap.errors import RemapError
from remap.tensors.blob import Blob

BLOCK = 64 << 10
KEPT = 256
"""Blocks that are remembered: headers lie near each other, and each request of a server takes its time."""


class Seekable(io.RawIOBase):
    """A read-only file over a blob, of which what was last asked for is remembered.

    Args:
        blob: The bytes.

    Attributes:
        failure: The first error of the blob, for callers whom the library tells something else.

    >>> from remap.tensors.blob import BytesBlob
    >>> file = Seekable(BytesBlob(b"0123456789", "here"))
    >>> file.seek(-3, io.SEEK_END), file.read()
    (7, b'789')
    """

    def __init__(self, blob: Blob) -> None:
        self.failure: RemapError | None = None
        self._blob = blob
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._blob.size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view) and self._at < self._blob.size:
            number, skip = divmod(self._at, BLOCK)
            part = self._block(number)[skip : skip + len(view) - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        return done

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * BLOCK
        try:
            block = self._blob.read(start, min(BLOCK, self._blob.size - start))
        except RemapError as error:
            self.failure = self.failure or error
            raise OSError(error.problems[0].what) from error
        self._blocks[number] = block
        if len(self._blocks) > KEPT:
            self._blocks.popitem(last=False)
        return block
