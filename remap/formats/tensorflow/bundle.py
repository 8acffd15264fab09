"""TensorFlow's TensorBundle: bytes in ``PREFIX.data-00000-of-00001``, a LevelDB table of entries in ``PREFIX.index``.

Formats: tensorflow/core/protobuf/tensor_bundle.proto, and the table format of
https://github.com/google/leveldb/blob/main/doc/table_format.md, without compression.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from remap.errors import MissingPackageError

DTYPES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "complex64": 8,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "uint16": 17,
    "complex128": 18,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
    "float8_e5m2": 24,
    "float8_e4m3fn": 25,
}
"""tensorflow/core/framework/types.proto."""
STRING = 7
BLOCK_BYTES = 4096
_MAGIC = 0xDB4775248B80FB57


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One tensor of a bundle.

    Args:
        dtype: Number of its element type.
        shape: Its shape.
        offset: First byte in the data file.
        nbytes: Bytes in the data file.
        checksum: CRC-32C of them, not masked.
    """

    dtype: int
    shape: tuple[int, ...]
    offset: int
    nbytes: int
    checksum: int

    def encode(self) -> bytes:
        """As a BundleEntryProto."""
        dims = b"".join(field(2, field(1, size) if size else b"") for size in self.shape)
        return (
            field(1, self.dtype)
            + field(2, dims)
            + field(4, self.offset)
            + field(5, self.nbytes)
            + b"\x35"
            + struct.pack("<L", mask(self.checksum))
        )


def crc32c() -> Callable[[int, bytes], int]:
    """The function that extends a CRC-32C.

    Raises:
        MissingPackageError: google-crc32c is not installed.
    """
    try:
        import google_crc32c
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "TensorFlow checkpoints need checksums that 'google-crc32c' computes",
            where="import of google_crc32c",
            fix="pip install google-crc32c",
        ) from error
    extend: Callable[[int, bytes], int] = google_crc32c.extend
    return extend


def mask(checksum: int) -> int:
    """A checksum as LevelDB and TensorFlow store it.

    >>> hex(mask(0))
    '0xa282ead8'
    """
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(number: int) -> bytes:
    """A base-128 integer, the lowest seven bits first.

    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer; a zero is left out."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    return varint(number << 3 | 2) + varint(len(value)) + value


def string_tensor(text: bytes) -> tuple[bytes, int]:
    """A scalar string as a bundle stores it, and its checksum."""
    extend = crc32c()
    length = struct.pack("<L", len(text))
    check = struct.pack("<L", mask(extend(0, length)))
    return varint(len(text)) + check + text, extend(0, length + check + text)


def index_table(entries: dict[str, BundleEntry]) -> bytes:
    """The ``.index`` file."""
    header = field(1, 1) + field(3, field(1, 1))  # one shard; version: producer 1
    records = [(b"", header), *sorted((name.encode(), entry.encode()) for name, entry in entries.items())]
    table, handles = bytearray(), []
    block: list[tuple[bytes, bytes]] = []
    for record in records:
        block.append(record)
        if sum(len(key) + len(value) for key, value in block) >= BLOCK_BYTES:
            handles.append((block[-1][0], _append(table, block)))
            block = []
    if block:
        handles.append((block[-1][0], _append(table, block)))
    meta = _append(table, [])
    index = _append(table, handles)
    return bytes(table) + (meta + index).ljust(40, b"\0") + struct.pack("<Q", _MAGIC)


def _append(table: bytearray, records: list[tuple[bytes, bytes]]) -> bytes:
    """Add a block; its handle."""
    block = bytearray()
    restarts = []
    for key, value in records:
        restarts.append(len(block))
        block += b"\0" + varint(len(key)) + varint(len(value)) + key + value
    for place in restarts or [0]:
        block += struct.pack("<L", place)
    block += struct.pack("<L", len(restarts) or 1)
    handle = varint(len(table)) + varint(len(block))
    table += block + b"\0" + struct.pack("<L", mask(crc32c()(0, bytes(block) + b"\0")))
    return handle
