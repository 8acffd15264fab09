"""The directory of a zip archive, read from its end: names, sizes and places of entries, no contents.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3 and 4.5.3 (zip64).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from remap.errors import CheckpointError
from remap.tensors.blob import Blob, PartBlob, StorageBlob
from remap.tensors.computed import ComputedStorage, Write
from remap.tensors.local_file import LocalFile, files_of

STORED, DEFLATED = 0, 8
MAGIC = b"PK\x03\x04"
PACKED_PIECE, PIECE = 1 << 20, 4 << 20
"""Bytes that are inflated at a time, before and after."""
MAX_RATIO = 1100
"""How much smaller than itself an entry can be: deflate packs 1032 bytes into one at most."""

_END = struct.Struct("<4s4H2IH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_CENTRAL = struct.Struct("<4s4xHH4xLLLHHH8xL")
_LOCAL = struct.Struct("<4s2B4HL2L2H")
_FULL = 0xFFFFFFFF


class ZipEntry(NamedTuple):
    """One file of an archive."""

    header: int
    method: int
    packed: int
    nbytes: int
    crc: int
    encrypted: bool


def damaged(blob: Blob, what: str) -> CheckpointError:
    """The error for an archive that contradicts itself."""
    return CheckpointError(
        f"damaged zip archive: {what}", where=blob.name, fix="the file is truncated or damaged: fetch it again"
    )


def read_directory(blob: Blob) -> dict[str, ZipEntry]:
    """All entries by name, in the archive's order.

    Raises:
        CheckpointError: The directory is missing or damaged, names a file twice, or entries overlap.
    """
    start, size, count = _find_directory(blob)
    entries = _parse(blob, blob.read(start, size), count)
    _check_overlaps(blob, entries, start)
    return entries


def _find_directory(blob: Blob) -> tuple[int, int, int]:
    length = min(blob.size, _END.size + 0xFFFF)
    tail = blob.read(blob.size - length, length)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise damaged(blob, "it has no directory at its end")
    end = blob.size - length + at
    _, disk, _, _, count, size, start, _ = _END.unpack_from(tail, at)
    if disk not in (0, 0xFFFF):
        raise damaged(blob, "it is one part of several")
    if _FULL in (size, start) or count == 0xFFFF:
        start, size, count, end = _find_directory64(blob, end)
    if start + size > end:
        raise damaged(blob, "its directory lies behind its end")
    return start, size, count


def _find_directory64(blob: Blob, end: int) -> tuple[int, int, int, int]:
    if end < _END64_LOCATOR.size:
        raise damaged(blob, "its 64-bit directory is missing")
    magic, _, at, _ = _END64_LOCATOR.unpack(blob.read(end - _END64_LOCATOR.size, _END64_LOCATOR.size))
    if magic != b"PK\x06\x07" or at + _END64.size > end:
        raise damaged(blob, "its 64-bit directory is missing")
    end64 = _END64.unpack(blob.read(at, _END64.size))
    if end64[0] != b"PK\x06\x06":
        raise damaged(blob, "its 64-bit directory is missing")
    return end64[9], end64[8], end64[7], at


def _parse(blob: Blob, directory: bytes, count: int) -> dict[str, ZipEntry]:
    entries: dict[str, ZipEntry] = {}
    at = 0
    try:
        while at < len(directory):
            magic, flags, method, crc, packed, nbytes, name_size, extra_size, comment_size, header = (
                _CENTRAL.unpack_from(directory, at)
            )
            if magic != b"PK\x01\x02":
                raise damaged(blob, f"entry {len(entries)} of its directory is none")
            name_at = at + _CENTRAL.size
            at = name_at + name_size + extra_size + comment_size
            if at > len(directory):
                raise damaged(blob, f"entry {len(entries)} of its directory is cut off")
            name = directory[name_at : name_at + name_size].decode("utf-8", "surrogateescape")
            if _FULL in (packed, nbytes, header):
                extra = directory[name_at + name_size : name_at + name_size + extra_size]
                nbytes, packed, header = _wide(extra, nbytes, packed, header)
            if name in entries:
                raise damaged(blob, f"two entries are called {name!r}")
            entries[name] = ZipEntry(header, method, packed, nbytes, crc, bool(flags & 1))
    except struct.error as error:
        raise damaged(blob, f"entry {len(entries)} of its directory is cut off") from error
    if len(entries) != count:
        raise damaged(blob, f"its directory has {len(entries)} entries instead of {count}")
    return entries


def _wide(extra: bytes, *narrow: int) -> list[int]:
    """Sizes and offset, those that do not fit 32 bits taken from the zip64 extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            values = iter(struct.unpack_from(f"<{size // 8}Q", extra, at + 4))
            return [next(values, _FULL) if value == _FULL else value for value in narrow]
        at += 4 + size
    return list(narrow)


def _check_overlaps(blob: Blob, entries: dict[str, ZipEntry], stop: int) -> None:
    ordered = sorted(entries.items(), key=lambda item: item[1].header, reverse=True)
    for name, entry in ordered:
        if entry.header + _LOCAL.size + entry.packed > stop:
            raise damaged(blob, f"entry {name!r} reaches into what follows it")
        stop = entry.header


def data_start(header: bytes, name: str, where: str) -> int:
    """Bytes from the start of an entry's local header, of which the first 30 are given, to its contents.

    Raises:
        CheckpointError: There is no local header.
    """
    magic, *_, name_size, extra_size = _LOCAL.unpack(header)
    if magic != MAGIC:
        raise CheckpointError(
            "damaged zip archive: an entry is not where the directory says", where=f"{name} in {where}"
        )
    return _LOCAL.size + int(name_size) + int(extra_size)


def locate(blob: Blob, name: str, entry: ZipEntry) -> int:
    """Where the contents of ``entry`` start."""
    start = entry.header + data_start(blob.read(entry.header, _LOCAL.size), name, blob.name)
    if start + entry.packed > blob.size:
        raise damaged(blob, f"entry {name!r} reaches behind the end")
    return start


def read_entry(blob: Blob, name: str, entry: ZipEntry, limit: int) -> bytes:
    """The contents of one entry, inflated where needed.

    Raises:
        CheckpointError: More than ``limit`` bytes, packed in an unknown way, or damaged.
    """
    if entry.nbytes > limit or entry.encrypted or entry.method not in (STORED, DEFLATED):
        raise CheckpointError(
            "cannot unpack an entry of a zip archive",
            where=f"{name} in {blob.name}",
            found=f"{entry.nbytes} bytes, method {entry.method}{', encrypted' if entry.encrypted else ''}",
            expected=f"stored or deflated, at most {limit} bytes",
        )
    if entry.method == DEFLATED:
        return b"".join(inflated(blob, name, entry))
    if entry.packed != entry.nbytes:
        raise damaged(blob, f"entry {name!r} has another size than its directory says")
    return blob.read(locate(blob, name, entry), entry.packed)


def inflated(blob: Blob, name: str, entry: ZipEntry) -> Iterator[bytes]:
    """The contents of a deflated entry, in pieces of bounded size.

    Raises:
        CheckpointError: It is damaged, or is not as large as the directory says.
    """
    checksum, left = 0, entry.nbytes
    try:
        for piece in _inflate(blob, locate(blob, name, entry), entry.packed):
            checksum, left = zlib.crc32(piece, checksum), left - len(piece)
            if left < 0:
                break
            yield piece
    except zlib.error as error:
        raise damaged(blob, f"entry {name!r} cannot be inflated ({error})") from error
    if checksum != entry.crc:
        raise damaged(blob, f"entry {name!r} does not match its checksum")
    if left:
        raise damaged(blob, f"entry {name!r} has another size than its directory says")


@dataclass(frozen=True, slots=True)
class Inflate:
    """Makes the contents of a deflated entry, but for its first bytes.

    Args:
        blob: The archive.
        name: The entry's.
        entry: It.
        skip: How many bytes are left out.
    """

    blob: Blob
    name: str
    entry: ZipEntry
    skip: int = 0

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """Those of the archive."""
        return files_of(self.blob)

    def __call__(self, write: Write) -> None:
        at = -self.skip
        for piece in inflated(self.blob, self.name, self.entry):
            if at + len(piece) > 0:
                write(max(at, 0), memoryview(piece)[max(-at, 0) :])
            at += len(piece)

    def storage(self) -> ComputedStorage:
        """The storage of what it makes."""
        return ComputedStorage(self.entry.nbytes - self.skip, f"{self.name} in {self.blob.name}", self)


def entry_blob(blob: Blob, name: str, entry: ZipEntry) -> Blob:
    """One entry as a blob: a part of the archive, or inflated when it is first read."""
    if entry.method == STORED:
        return PartBlob(blob, locate(blob, name, entry), entry.packed, name)
    storage = Inflate(blob, name, entry).storage()
    return StorageBlob(storage, storage.place)


def _inflate(blob: Blob, start: int, packed: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    for at in range(0, packed, PACKED_PIECE):
        data = blob.read(start + at, min(PACKED_PIECE, packed - at))
        while piece := unpacker.decompress(data, PIECE):
            yield piece
            data = unpacker.unconsumed_tail
        if unpacker.eof:
            return


def only_root(blob: Blob, names: Iterable[str], file: str) -> str:
    """What stands in front of ``file`` in an archive: ``"archive/"`` for ``archive/data.pkl``.

    Raises:
        CheckpointError: The archive has several such files.
    """
    roots = [
        name[: -len(file)] for name in names if name == file or (name.endswith("/" + file) and name.count("/") == 1)
    ]
    if len(roots) != 1:
        raise damaged(blob, f"it has {len(roots)} files called {file}")
    return roots[0]
