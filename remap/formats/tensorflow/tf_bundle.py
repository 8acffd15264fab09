"""TensorFlow checkpoints, name-based and object-based alike, read without TensorFlow.

A checkpoint is ``PREFIX.index``, a LevelDB table from tensor names to a small protocol buffer each, and
``PREFIX.data-00000-of-00001``, the bytes. Format: tensorflow/core/util/tensor_bundle and
tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import prod

from remap.errors import CheckpointError
from remap.formats.contents import Contents, is_absurd
from remap.formats.tensorflow.bundle import DTYPES
from remap.tensors.blob import Blob, check_range
from remap.tensors.dtypes import dtype_of
from remap.tensors.location import Location
from remap.tensors.names import refusal
from remap.tensors.tensor import Skipped, Tensor, dense_strides

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
FOOTER = 48
UNCOMPRESSED = 0
OBJECT_ENDING = "/.ATTRIBUTES/VARIABLE_VALUE"
"""What the key of every variable of an object-based checkpoint ends in."""
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""The key that such a checkpoint keeps the graph of its objects under."""
MAX_RANK = 254
MAX_BLOCK = 64 << 20
"""Bytes of one block of an index: TensorFlow begins a new one after 256 KB."""
MAX_KEYS = 256 << 20
"""Bytes of all keys: a few bytes can repeat a long one."""

_DTYPES = {number: name for name, number in DTYPES.items()}

Fields = dict[int, list[int | bytes]]


def is_part(name: str) -> bool:
    """Whether a file is called like one of a checkpoint.

    >>> is_part("model.ckpt.index"), is_part("model.ckpt")
    (True, False)
    """
    return name.endswith(".index") or ".data-" in name


def index_of(place: Location) -> Location | None:
    """The ``.index`` file of a checkpoint that is named by its prefix or by one of its files; None if there is none."""
    prefix = place.name.rpartition("/")[2].partition(".data-")[0].removesuffix(".index")
    index = place.parent().child(f"{prefix}.index")
    return index if index.exists() else None


def read(place: Location) -> Contents:
    """The tensors of a TensorFlow checkpoint by name, from its index alone.

    Names of object-based checkpoints are given without their fixed ending: ``layer_with_weights-0/kernel``.

    Args:
        place: What its files start with, or one of them.

    Raises:
        CheckpointError: The index is missing, damaged, compressed, or names bytes that are not there.
    """
    index = index_of(place)
    if index is None:
        raise CheckpointError("no such TensorFlow checkpoint", where=place.name)
    try:
        return _contents(index, dict(_table(index.blob())))
    except (IndexError, ValueError, struct.error, UnicodeDecodeError) as error:
        raise CheckpointError(
            "damaged TensorFlow checkpoint", where=index.name, found=str(error), fix="fetch or save it again"
        ) from error


def _contents(index: Location, entries: dict[bytes, bytes]) -> Contents:
    shards = _number(_fields(entries.pop(b"", b"")), 1, 1)
    files: dict[int, Blob] = {}
    tensors: dict[str, Tensor] = {}
    skipped: list[Skipped] = []
    for key, value in entries.items():
        name, fields = key.decode().removesuffix(OBJECT_ENDING), _fields(value)
        code, shape = _number(fields, 1, 0), _shape(fields)
        if code not in _DTYPES or 7 in fields:
            kind = "a partitioned variable" if 7 in fields else "strings" if code == 7 else f"TensorFlow type {code}"
            skipped.append(Skipped(name, kind))
            continue
        if name in tensors:
            raise ValueError(f"two entries are called {name!r:.200}")
        shard, offset, size = (_number(fields, field, 0) for field in (3, 4, 5))
        dtype = dtype_of(_DTYPES[code])
        if reason := refusal(name):
            raise ValueError(f"{name!r:.200} is {reason}")
        if shard not in files:
            files[shard] = _data_file(index, shard, shards)
        if size != prod(shape) * dtype.itemsize:
            raise ValueError(f"{name!r:.200}: {size} bytes for shape {shape!r:.200} of {dtype.name}")
        if is_absurd(shape, dtype.itemsize, size):
            raise ValueError(f"{name!r:.200}: absurd shape {shape!r:.200}")
        check_range(files[shard], offset, size)
        tensors[name] = Tensor(name, shape, dtype, dense_strides(shape), files[shard].storage(offset, size))
    kind = "tf_object" if any(entry.name == OBJECT_GRAPH for entry in skipped) else "tf_name"
    return Contents("TensorFlow checkpoint", tensors, tuple(skipped), kind=kind)


def _data_file(index: Location, shard: int, shards: int) -> Blob:
    name = f"{index.name.rpartition('/')[2].removesuffix('.index')}.data-{shard:05d}-of-{shards:05d}"
    place = index.parent().child(name)
    if not place.exists():
        raise CheckpointError(
            "a file of the TensorFlow checkpoint is missing",
            where=place.name,
            fix="fetch it too: a checkpoint is its .index and all of its .data files",
        )
    return place.blob()


def _shape(fields: Fields) -> tuple[int, ...]:
    sizes = []
    for shape in fields.get(2, []):
        for dim in _fields(_bytes(shape)).get(2, []):
            size = _number(_fields(_bytes(dim)), 1, 0)
            sizes.append(size)
    if len(sizes) > MAX_RANK or any(size >> 62 for size in sizes):
        raise ValueError(f"absurd shape {sizes[:8]}")
    return tuple(sizes)


def _table(blob: Blob) -> Iterator[tuple[bytes, bytes]]:
    """All entries of a LevelDB table, whose keys ascend and whose blocks lie one behind the other."""
    footer = blob.read(blob.size - FOOTER, FOOTER) if blob.size >= FOOTER else b""
    if footer[-8:] != MAGIC:
        raise ValueError("it does not end as an index does: truncated, or no TensorFlow checkpoint")
    last, end, total = None, 0, 0
    for _, handle in _block(blob, *_handle(footer, _skip_handle(footer, 0))):
        offset, size = _handle(handle, 0)
        if offset < end:
            raise ValueError(f"a block at byte {offset} overlaps another")
        end = offset + size
        for key, value in _block(blob, offset, size):
            if last is not None and key <= last:
                raise ValueError(f"the key {key!r:.200} does not come after {last!r:.200}")
            last, total = key, total + len(key)
            if total > MAX_KEYS:
                raise ValueError(f"more than {MAX_KEYS} bytes of names")
            yield key, value


def _handle(data: bytes, position: int) -> tuple[int, int]:
    offset, position = _varint(data, position)
    return offset, _varint(data, position)[0]


def _skip_handle(data: bytes, position: int) -> int:
    return _varint(data, _varint(data, position)[1])[1]


def _block(blob: Blob, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Entries of one block: keys share prefixes with the key before them."""
    if offset + size + 5 > blob.size or size > MAX_BLOCK:
        raise ValueError(f"a block of {size} bytes at {offset}, in a file of {blob.size}")
    block = blob.read(offset, size + 1)
    if block[-1] != UNCOMPRESSED:
        raise ValueError("a block is compressed, which TensorFlow does not do")
    yield from _entries(block[:-1])


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end = len(block) - 4 - 4 * restarts
    position, key = 0, b""
    while position < end:
        shared, position = _varint(block, position)
        own, position = _varint(block, position)
        length, position = _varint(block, position)
        if shared > len(key) or position + own + length > end:
            raise ValueError("an entry reaches outside of its block")
        key = key[:shared] + block[position : position + own]
        position += own
        yield key, block[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number does not end")


def _fields(data: bytes) -> Fields:
    """Fields of a protocol buffer message by number; nested messages as bytes."""
    fields: Fields = {}
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, position = _varint(data, position)
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            value = int.from_bytes(data[position : position + width], "little")
            position += width
        elif kind == 2:
            length, position = _varint(data, position)
            value = data[position : position + length]
            position += length
        else:
            raise ValueError(f"unknown field kind {kind}")
        if position > len(data):
            raise ValueError("a field reaches outside of its message")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(fields: Fields, field: int, default: int) -> int:
    value = fields.get(field, [default])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {field} is no number")
    return value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a message is a number")
    return value
