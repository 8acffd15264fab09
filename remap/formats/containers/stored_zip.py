"""Zip archives of stored entries, laid out in advance; headers and directory follow when the checksums are known.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, with 64-bit sizes throughout.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from remap.formats.sheet import FixedBytes, ReadBytes

CHUNK = 1 << 20
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_VERSION, _UTF8, _STORED, _MIDNIGHT, _FIRST_OF_1980 = 45, 0x800, 0, 0, 0x21
_FULL = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry: its name, where its bytes lie in the archive, and how many they are."""

    name: str
    start: int
    nbytes: int

    @property
    def header(self) -> int:
        """Where its local header starts."""
        return self.start - _LOCAL.size - len(self.name.encode()) - 20


class StoredZip:
    """A zip archive while entries are added to it.

    >>> archive = StoredZip()
    >>> archive.add("a", 10), archive.add("b", 5).start
    (StoredEntry(name='a', start=51, nbytes=10), 112)
    """

    def __init__(self) -> None:
        self.entries: list[StoredEntry] = []

    def add(self, name: str, nbytes: int) -> StoredEntry:
        """Room for an entry behind the last one."""
        start = self._end + _LOCAL.size + len(name.encode()) + 20
        self.entries.append(StoredEntry(name, start, nbytes))
        return self.entries[-1]

    @property
    def size(self) -> int:
        """Bytes of the archive with its directory."""
        return self._end + len(_directory(self.entries, [0] * len(self.entries)))

    def closing(self, file: int = 0) -> ZipClosing:
        """What is known of it in the end.

        Args:
            file: Its number in the sheet.
        """
        return ZipClosing(file, tuple(self.entries))

    @property
    def _end(self) -> int:
        return self.entries[-1].start + self.entries[-1].nbytes if self.entries else 0


@dataclass(frozen=True, slots=True)
class ZipClosing:
    """Headers and directory around entries whose bytes are in place, with their checksums.

    Args:
        file: Number of the archive in its sheet.
        entries: They.
    """

    file: int
    entries: tuple[StoredEntry, ...]

    def pieces(self, read: ReadBytes) -> Iterator[FixedBytes]:
        """A header in front of every entry, the directory behind the last."""
        checksums = []
        for entry in self.entries:
            checksum = 0
            for done in range(0, entry.nbytes, CHUNK):
                checksum = zlib.crc32(read(self.file, entry.start + done, min(CHUNK, entry.nbytes - done)), checksum)
            checksums.append(checksum)
            yield FixedBytes(entry.header, _local(entry, checksum))
        end = self.entries[-1].start + self.entries[-1].nbytes if self.entries else 0
        yield FixedBytes(end, _directory(self.entries, checksums))


def _local(entry: StoredEntry, checksum: int) -> bytes:
    name = entry.name.encode()
    head = _LOCAL.pack(
        b"PK\3\4", _VERSION, _UTF8, _STORED, _MIDNIGHT, _FIRST_OF_1980, checksum, _FULL, _FULL, len(name), 20
    )
    return head + name + struct.pack("<2H2Q", 1, 16, entry.nbytes, entry.nbytes)


def _directory(entries: Sequence[StoredEntry], checksums: Sequence[int]) -> bytes:
    central = b"".join(_central(entry, checksum) for entry, checksum in zip(entries, checksums, strict=True))
    end = entries[-1].start + entries[-1].nbytes if entries else 0
    return central + _end(len(entries), len(central), end)


def _central(entry: StoredEntry, checksum: int) -> bytes:
    name = entry.name.encode()
    head = _CENTRAL.pack(
        b"PK\1\2",
        _VERSION,
        _VERSION,
        _UTF8,
        _STORED,
        _MIDNIGHT,
        _FIRST_OF_1980,
        checksum,
        _FULL,
        _FULL,
        len(name),
        28,
        0,
        0,
        0,
        0,
        _FULL,
    )
    return head + name + struct.pack("<2H3Q", 1, 24, entry.nbytes, entry.nbytes, entry.header)


def _end(count: int, size: int, start: int) -> bytes:
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, _VERSION, _VERSION, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
    return wide + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, _FULL, _FULL, 0)
