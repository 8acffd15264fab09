"""Zip archives of stored entries whose bytes are filled in later, in place.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, with 64-bit sizes throughout.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

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
    """A zip archive laid out in advance.

    Call :meth:`add` for every entry, write the file, put the entries' bytes in their places, then :meth:`finish`.
    """

    def __init__(self) -> None:
        self.entries: list[StoredEntry] = []

    def add(self, name: str, nbytes: int) -> StoredEntry:
        """Room for an entry behind the last one."""
        last = self.entries[-1] if self.entries else StoredEntry("", 0, 0)
        start = last.start + last.nbytes + _LOCAL.size + len(name.encode()) + 20
        self.entries.append(StoredEntry(name, start, nbytes))
        return self.entries[-1]

    def finish(self, path: Path) -> None:
        """Add headers and directory around the bytes that are there, with their checksums."""
        with path.open("r+b") as file:
            directory = b""
            for entry in self.entries:
                checksum, left = 0, entry.nbytes
                file.seek(entry.start)
                while left:
                    chunk = file.read(min(left, CHUNK))
                    checksum, left = zlib.crc32(chunk, checksum), left - len(chunk)
                file.seek(entry.header)
                file.write(_local(entry, checksum))
                directory += _central(entry, checksum)
            last = self.entries[-1]
            file.seek(last.start + last.nbytes)
            file.write(directory + _end(len(self.entries), len(directory), last.start + last.nbytes))


def _local(entry: StoredEntry, checksum: int) -> bytes:
    name = entry.name.encode()
    head = _LOCAL.pack(
        b"PK\3\4", _VERSION, _UTF8, _STORED, _MIDNIGHT, _FIRST_OF_1980, checksum, _FULL, _FULL, len(name), 20
    )
    return head + name + struct.pack("<2H2Q", 1, 16, entry.nbytes, entry.nbytes)


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
