"""Flax's files, ``.msgpack``: nested maps of modules whose leaves are arrays. transformers and diffusers publish them.

Format: https://github.com/google/flax/blob/main/flax/serialization.py. Only read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from remap.errors import CheckpointError
from remap.formats.containers.msgpack import Head, Msgpack, ValueKind, starts_map
from remap.formats.contents import MAX_RANK, Contents, stored
from remap.formats.format import Format
from remap.formats.tree import Refused, TensorView, Tree, is_leaf
from remap.formats.unread import Unread
from remap.tensors.blob import Blob
from remap.tensors.computed import PIECE, ComputedStorage, Write
from remap.tensors.dtypes import NAMES, dtype_of
from remap.tensors.local_file import LocalFile, files_of
from remap.tensors.names import MAX_LENGTH, NameBudget
from remap.tensors.tensor import Skipped, Storage

ARRAY, COMPLEX, SCALAR = 1, 2, 3
"""Codes of Flax's extensions: an array, a complex number of Python's, a number of numpy's."""
CHUNKED = "__msgpack_chunked_array__"
PARAMS, OPTIMIZER = "params", "opt_state"
MAX_DEPTH = 100
MAX_VALUES = 250_000
"""Entries of all maps and lists together."""
MAX_DTYPE = 40


class Flax(Format):
    """What ``flax.serialization.to_bytes`` writes."""

    name = "flax"
    title = "Flax msgpack"

    def recognise(self, file: Unread) -> bool:
        return starts_map(file.head)

    def read(self, file: Unread) -> Contents:
        return read(file.blob)

    def indexed(self, name: str) -> str:
        """An index of shards joins the keys by slashes."""
        return name.replace("/", ".")


FLAX = Flax()


def read(blob: Blob) -> Contents:
    """The contents of a Flax file, the keys of modules joined by dots.

    Where it has ``params``, each collection beside it (``batch_stats``, a step, an average) stays one; the state of an
    optimizer is left out.

    Raises:
        CheckpointError: It is damaged or hostile.
    """
    reader = _FlaxReader(blob)
    tree = reader.value(0)
    if reader.file.at != blob.size:
        raise reader.file.damaged(f"{blob.size - reader.file.at} bytes behind the end")
    if type(tree) is not dict:
        raise reader.file.damaged("no map of names")
    names = NameBudget(blob.name)
    if type(tree.get(PARAMS)) is not dict:
        return Contents(FLAX.title, _flat(tree, names, blob))
    skipped = (Skipped(OPTIMIZER, "the optimizer's state"),) if tree.pop(OPTIMIZER, None) is not None else ()
    collections = {name: _flat(node, names, blob) if type(node) is dict else node for name, node in tree.items()}
    return Contents(FLAX.title, collections, skipped)


class _FlaxReader:
    """Makes the tree of a file: dicts of dicts, lists as dicts by number, arrays as records of where they lie."""

    def __init__(self, blob: Blob) -> None:
        self.file = Msgpack(blob)
        self._path: list[str] = []
        self._values = 0

    def value(self, depth: int) -> Tree:
        """The next value with all that is in it."""
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            deep = depth > MAX_DEPTH
            raise self._damaged(f"maps nested over {MAX_DEPTH} deep" if deep else f"more than {MAX_VALUES:,} entries")
        head = self.file.head()
        match head.kind:
            case ValueKind.MAP | ValueKind.LIST:
                return self._entries(head, depth)
            case ValueKind.EXTENSION:
                return self._extension(head)
            case ValueKind.TEXT:
                self.file.skip(head.size)
                return ""  # what it says is nothing that is converted
            case ValueKind.BYTES:
                return self.file.skip(head.size)
            case ValueKind.PLAIN:
                return head.value

    def _entries(self, head: Head, depth: int) -> Tree:
        entries: dict[str, Tree] = {}
        for number in range(head.size):
            key = self._key() if head.kind is ValueKind.MAP else str(number)
            if key in entries:
                raise self._damaged(f"the name {key!r:.200} occurs twice")
            self._path.append(key)
            entries[key] = self.value(depth + 1)
            self._path.pop()
        return self._joined(entries) if CHUNKED in entries else entries

    def _key(self) -> str:
        head = self.file.head()
        if head.kind is ValueKind.PLAIN and type(head.value) is int:
            return str(head.value)
        if head.kind is not ValueKind.TEXT or head.size > MAX_LENGTH:
            raise self._damaged(f"a name that is {head.kind.name.lower()} of {head.size} bytes")
        try:
            return self.file.read(head.size).decode()
        except UnicodeDecodeError as error:
            raise self._damaged("a name that is no UTF-8") from error

    def _extension(self, head: Head) -> Tree:
        start, end = self.file.skip(head.size)
        if head.value == COMPLEX:
            return 0j
        if head.value not in (ARRAY, SCALAR):
            return Refused(f"msgpack extension {head.value}, which Flax has none of")
        self.file.at = start
        shape, name, length = self._array_head()
        data = self.file.skip(length)
        if data.stop != end:
            raise self._damaged(f"an array that ends at byte {data.stop}", f"its end at {end}")
        if name not in NAMES:
            return Refused(f"Flax array of {name}")
        dtype = dtype_of(name)
        self._demand_size(shape, dtype, length)
        return stored(self.file.blob.storage(data.start, length), dtype, shape)

    def _array_head(self) -> tuple[tuple[int, ...], str, int]:
        """Shape, name of the dtype and number of bytes of an array, all that stands before its bytes."""
        if self._expect("an array without its three parts", ValueKind.LIST, most=3).size != 3:
            raise self._damaged("an array without its three parts")
        axes = self._expect("an array without a shape", ValueKind.LIST, most=MAX_RANK).size
        shape = self._shape([self.file.head().value for _ in range(axes)])
        text = self._expect("an array without a dtype", ValueKind.TEXT, ValueKind.BYTES, most=MAX_DTYPE)
        name = self.file.read(text.size).decode("ascii", "replace")
        return shape, name, self._expect("an array without bytes", ValueKind.BYTES, ValueKind.TEXT).size

    def _expect(self, otherwise: str, *kinds: ValueKind, most: int = 1 << 32) -> Head:
        head = self.file.head()
        if head.kind not in kinds or head.size > most:
            raise self._damaged(otherwise)
        return head

    def _joined(self, entries: dict[str, Tree]) -> TensorView:
        """A large array, which Flax cuts into flat pieces since a msgpack value ends at 2 ** 32 bytes."""
        shape = self._shape(_numbered(entries.get("shape")))
        chunks = _numbered(entries.get("chunks"))
        views = [chunk for chunk in chunks if isinstance(chunk, TensorView)]
        dtypes = {view.ref.dtype for view in views}
        if not views or len(views) != len(chunks) or len(dtypes) != 1:
            raise self._damaged(f"{len(chunks)} chunks of {len(dtypes)} dtypes", "chunks of one array")
        parts = tuple(view.ref.storage for view in views if view.ref.storage is not None)
        (dtype,) = dtypes
        assert dtype is not None
        storage = Join(parts).storage(f"{'.'.join(self._path)} in {self.file.blob.name}")
        self._demand_size(shape, dtype, storage.nbytes)
        return stored(storage, dtype, shape)

    def _shape(self, sizes: list[Tree]) -> tuple[int, ...]:
        if len(sizes) > MAX_RANK or not all(type(size) is int and 0 <= size < 1 << 63 for size in sizes):
            raise self._damaged(f"the shape {sizes!r:.200}", "counts")
        return tuple(sizes)

    def _demand_size(self, shape: tuple[int, ...], dtype: np.dtype, nbytes: int) -> None:
        if prod(shape) * dtype.itemsize != nbytes:
            raise self._damaged(f"{nbytes} bytes", f"those of shape {shape!r:.200} of {dtype.name}")

    def _damaged(self, what: str, expected: str = "") -> CheckpointError:
        return self.file.damaged(what, ".".join(self._path), expected)


@dataclass(frozen=True, slots=True)
class Join:
    """Makes the bytes of one array of its chunks.

    Args:
        parts: The chunks, in order.
    """

    parts: tuple[Storage, ...]

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """Those of the chunks."""
        return tuple(dict.fromkeys(file for part in self.parts for file in files_of(part)))

    def __call__(self, write: Write) -> None:
        start = 0
        for part in self.parts:
            data = part.map()
            for at in range(0, part.nbytes, PIECE):
                write(start + at, data[at : at + PIECE])
            start += part.nbytes
            part.release()

    def storage(self, place: str) -> ComputedStorage:
        """The storage of what it makes."""
        return ComputedStorage(sum(part.nbytes for part in self.parts), place, self)


def _numbered(node: Tree) -> list[Tree]:
    """The entries of a dict by number, as far as they go without a gap."""
    return [node[str(number)] for number in range(len(node)) if str(number) in node] if type(node) is dict else []


def _flat(tree: dict[str, Tree], names: NameBudget, blob: Blob) -> dict[str, Tree]:
    """What nested dicts hold, keys joined by dots: modules are no wrappers that could be taken off.

    Raises:
        CheckpointError: Two entries have one name.
    """
    entries: dict[str, Tree] = {}
    for name, node in _leaves("", tree, names):
        if name in entries:
            raise CheckpointError("two entries have one name", where=f"{name!r:.200} in {blob.name}")
        entries[name] = node
    return entries


def _leaves(prefix: str, tree: dict[str, Tree], names: NameBudget) -> Iterator[tuple[str, Tree]]:
    for key, node in tree.items():
        name = names.take(f"{prefix}{key}")
        if type(node) is dict and node and not is_leaf(node):
            yield from _leaves(f"{name}.", node, names)
        else:
            yield name, node
