"""MessagePack read from front to back by its heads alone: what a value is, how long it is, where its bytes lie.

Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import struct
from enum import Enum, auto
from typing import NamedTuple

from remap.errors import CheckpointError
from remap.formats.tree import Span
from remap.tensors.blob import Blob, check_range

AHEAD = 4096
"""Bytes read at a time: what stands between two arrays is mostly shorter, and behind a URL each read is a request."""


class ValueKind(Enum):
    """What a value is."""

    MAP = auto()
    LIST = auto()
    TEXT = auto()
    BYTES = auto()
    EXTENSION = auto()
    PLAIN = auto()


class Head(NamedTuple):
    """The beginning of a value.

    Args:
        kind: What it is.
        size: Entries of a map or a list; bytes that follow, of all others.
        value: A plain value itself, the code of an extension.
    """

    kind: ValueKind
    size: int = 0
    value: int | float | bool | None = None


_SHORT = ((0x80, 0x90, ValueKind.MAP), (0x90, 0xA0, ValueKind.LIST), (0xA0, 0xC0, ValueKind.TEXT))
"""Kinds whose first byte holds the size as well: from, up to, and which."""
_SIZED = {
    **dict(zip((0xC4, 0xC5, 0xC6), ((ValueKind.BYTES, width) for width in (1, 2, 4)), strict=True)),
    **dict(zip((0xC7, 0xC8, 0xC9), ((ValueKind.EXTENSION, width) for width in (1, 2, 4)), strict=True)),
    **dict(zip((0xD9, 0xDA, 0xDB), ((ValueKind.TEXT, width) for width in (1, 2, 4)), strict=True)),
    **dict(zip((0xDC, 0xDD), ((ValueKind.LIST, width) for width in (2, 4)), strict=True)),
    **dict(zip((0xDE, 0xDF), ((ValueKind.MAP, width) for width in (2, 4)), strict=True)),
}
"""First bytes of kinds whose size follows, with the bytes that it takes."""
_NUMBERS = dict(zip((*range(0xCA, 0xD4),), (">f", ">d", ">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q"), strict=True))
_FIXED = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
"""First bytes of extensions of some sizes."""
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def starts_map(head: bytes) -> bool:
    r"""Whether a file that starts with these bytes is a map of at least one entry whose first key is text.

    >>> starts_map(b"\x81\xa1a\xc0"), starts_map(b"\x80\x02}q"), starts_map(b"\x89HDF\r\n")
    (True, False, False)
    """
    if not head or not (0x80 < head[0] < 0x90 or head[0] in (0xDE, 0xDF)):
        return False
    key = head[1 + _SIZED[head[0]][1] if head[0] in _SIZED else 1 :][:1]
    return bool(key) and (0xA0 <= key[0] < 0xC0 or _SIZED.get(key[0], (None,))[0] is ValueKind.TEXT)


class Msgpack:
    """A position in a file that goes on from head to head. The bytes of arrays are passed over unread.

    Args:
        blob: The file.
    """

    def __init__(self, blob: Blob) -> None:
        self.blob = blob
        self.at = 0
        self._start = 0
        self._ahead = b""

    def head(self) -> Head:
        """The next value's beginning; the position is then behind it.

        Raises:
            CheckpointError: The file ends, or no value begins like that.
        """
        code = self.read(1)[0]
        if code < 0x80 or code >= 0xE0:
            return Head(ValueKind.PLAIN, value=code if code < 0x80 else code - 0x100)
        for first, stop, kind in _SHORT:
            if first <= code < stop:
                return Head(kind, code - first)
        if code in _CONSTANTS:
            return Head(ValueKind.PLAIN, value=_CONSTANTS[code])
        if code in _NUMBERS:
            return Head(
                ValueKind.PLAIN, value=struct.unpack(_NUMBERS[code], self.read(struct.calcsize(_NUMBERS[code])))[0]
            )
        if code in _FIXED:
            return self._extension(_FIXED[code])
        if code not in _SIZED:
            raise self.damaged(f"a value that starts with the byte {code:#x}")
        kind, width = _SIZED[code]
        size = int.from_bytes(self.read(width), "big")
        return self._extension(size) if kind is ValueKind.EXTENSION else Head(kind, size)

    def read(self, length: int) -> bytes:
        """The next bytes.

        Raises:
            CheckpointError: The file ends before.
        """
        first = self.at - self._start
        if first + length > len(self._ahead):
            check_range(self.blob, self.at, length)
            self._start, first = self.at, 0
            self._ahead = self.blob.read(self.at, min(max(length, AHEAD), self.blob.size - self.at))
        self.at += length
        return self._ahead[first : first + length]

    def skip(self, length: int) -> Span:
        """Where the next bytes lie, which are not read.

        Raises:
            CheckpointError: The file ends before.
        """
        check_range(self.blob, self.at, length)
        self.at += length
        return Span(self.at - length, self.at)

    def damaged(self, what: str, where: str = "", expected: str = "") -> CheckpointError:
        """The error for a file that holds what none can.

        Args:
            what: That.
            where: The entry, if one is known.
            expected: What stands there in others.
        """
        return CheckpointError(
            "damaged msgpack file",
            where=f"{f'{where!r:.200}' if where else f'byte {self.at}'} in {self.blob.name}",
            found=what,
            expected=expected,
            fix="the file is truncated or damaged: fetch it again",
        )

    def _extension(self, size: int) -> Head:
        return Head(ValueKind.EXTENSION, size, int.from_bytes(self.read(1), "big", signed=True))
