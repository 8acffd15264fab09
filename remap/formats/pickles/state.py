"""What a pickle machine holds between two operations: its stack, its marks, its memo, and its place in the data."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

MEMORY, MEMORY_PER_BYTE = 64 << 20, 48
"""What the values of a pickle may take in bytes: so much, and so much for each of its own. Real ones take up to 20."""
ENTRY, OBJECT = 100, 250
"""Bytes of an entry of a dict, and of an object, about."""


class PickleError(Exception):
    """A pickle that is damaged, hostile, or beyond a limit; readers say of which file."""


class MachineState:
    """The state of one run.

    Args:
        data: Bytes that hold the pickle.
        find: From module and name to a :class:`Constructor`, a :class:`Global` or a plain value.
        persist: From a persistent id to a value.
        start: Where it begins.
    """

    def __init__(
        self, data: bytes | mmap.mmap, find: Callable[[str, str], Any], persist: Callable[[Any], Any], start: int = 0
    ) -> None:
        self.data = data
        self.find: Callable[[str, str], Any] = find
        self.persist: Callable[[Any], Any] = persist
        self.end = start
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self._room = MEMORY + MEMORY_PER_BYTE * (len(data) - start)

    def charge(self, nbytes: int) -> None:
        """Count memory that a value takes.

        Raises:
            PickleError: It is more than the size of the pickle explains.
        """
        self._room -= nbytes
        if self._room < 0:
            raise PickleError("the pickle's values take more memory than its size explains")

    def text(self, start: int, stop: int) -> str:
        """Text that lies at a range."""
        if stop > len(self.data):
            raise IndexError("text ends behind the file")
        return str(self.data[start:stop], "utf-8", "surrogatepass")

    def line(self, pos: int) -> tuple[bytes, int]:
        """The line at ``pos`` and where the next begins."""
        end = self.data.find(b"\n", pos)
        if end < 0:
            raise IndexError("line without an end")
        return self.data[pos:end], end + 1

    def since_mark(self) -> list[Any]:
        """Everything above the last mark, taken off the stack."""
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items
