"""A file in memory of which only the pages are kept that were written: its size may be beyond any memory."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

PAGE = 4096


class MemoryFile(io.RawIOBase):
    """What a library writes a file to when only its headers are wanted.

    >>> file = MemoryFile()
    >>> _ = file.write(b"abcdef"), file.truncate(10**12)
    >>> file.size, list(file.stretches([(2, 4)]))
    (1000000000000, [(0, b'ab'), (4, b'ef')])
    """

    def __init__(self) -> None:
        self.size = 0
        self._at = 0
        self._pages: dict[int, bytearray] = {}

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def truncate(self, size: int | None = None) -> int:
        self.size = self._at if size is None else size
        return self.size

    def write(self, data: Any) -> int:
        view, done = memoryview(data).cast("B"), 0
        while done < len(view):
            number, skip = divmod(self._at + done, PAGE)
            part = view[done : done + PAGE - skip]
            page = self._pages.get(number)
            if page is None:
                page = self._pages[number] = bytearray(PAGE)
            page[skip : skip + len(part)] = part
            done += len(part)
        self._at += done
        self.size = max(self.size, self._at)
        return done

    def readinto(self, buffer: Any) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        length = max(0, min(len(view), self.size - self._at))
        while done < length:
            number, skip = divmod(self._at + done, PAGE)
            count = min(length - done, PAGE - skip)
            page = self._pages.get(number)
            view[done : done + count] = bytes(count) if page is None else page[skip : skip + count]
            done += count
        self._at += done
        return done

    def stretches(self, holes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
        """What was written, in order, each stretch with where it starts.

        Args:
            holes: Ranges ``(start, stop)`` that are left out, in any order.
        """
        ordered = sorted(holes)
        number = 0
        for start, stop, data in self._runs():
            at = start
            while number < len(ordered) and ordered[number][1] <= start:
                number += 1
            following = number
            while following < len(ordered) and ordered[following][0] < stop:
                yield from _stretch(start, data, at, ordered[following][0])
                at = max(at, ordered[following][1])
                following += 1
            yield from _stretch(start, data, at, stop)

    def _runs(self) -> Iterator[tuple[int, int, bytes]]:
        """Pages that lie one behind the other: first byte, last but one, and what they hold."""
        numbers = sorted(self._pages)
        first = 0
        for at in range(1, len(numbers) + 1):
            if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
                start = numbers[first] * PAGE
                data = b"".join(self._pages[number] for number in numbers[first:at])[: self.size - start]
                yield start, start + len(data), data
                first = at


def _stretch(start: int, data: bytes, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    """The part ``[first, last)`` of a run, zeros around it left out."""
    part = data[max(first - start, 0) : max(last - start, 0)]
    inner = part.lstrip(b"\0")
    if inner:
        yield max(first, start) + len(part) - len(inner), inner.rstrip(b"\0")
