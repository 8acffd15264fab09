"""``torch.distributed.checkpoint`` folders: a pickled ``.metadata`` and ``*.distcp`` files of tensors cut into chunks.

A tensor in one chunk is read in place. One in several is put together when it is read.

Layout: https://github.com/pytorch/pytorch/blob/main/torch/distributed/checkpoint/metadata.py
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from remap.errors import CheckpointError, Problem
from remap.formats import contents
from remap.formats.containers import zipdir
from remap.formats.contents import Contents, stored
from remap.formats.format import Format
from remap.formats.pickles.torch_pickle import TorchPickle
from remap.formats.pytorch import torch_zip
from remap.formats.tree import Foreign, TensorView, Tree
from remap.formats.unread import Unread
from remap.layout.recipe import Piece, Recipe, View
from remap.layout.rendered import rendered
from remap.layout.tiles import Value
from remap.tensors.blob import Blob, PartBlob
from remap.tensors.location import Location, listed_file
from remap.tensors.tensor import Skipped, Tensor

METADATA = ".metadata"
MAX_METADATA = 1 << 29
MAX_CHUNKS = 4096
MAX_DEPTH = 8


class Chunk(NamedTuple):
    """A box of a tensor and the bytes of the torch file that holds it."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: str
    start: int
    length: int


class Distributed(Format):
    """A folder that ``torch.distributed.checkpoint`` saved."""

    name = "distributed"
    title = "distributed checkpoint"

    def recognise(self, file: Unread) -> bool:
        return METADATA in file.names

    def read(self, file: Unread) -> Contents:
        return read(file.place)


DISTRIBUTED = Distributed()


def read(folder: Location) -> Contents:
    """The contents of a folder that ``torch.distributed.checkpoint`` saved.

    Raises:
        CheckpointError: It is damaged or hostile, or a tensor is not all there.
    """
    blob = folder.child(METADATA).blob()
    if blob.size > MAX_METADATA:
        raise CheckpointError("metadata is too large", where=blob.name, found=f"{blob.size} bytes")
    tree, _ = TorchPickle(blob.name).run(blob.read(0, blob.size))
    try:
        tensors, skipped = _tensors(tree.state["state_dict_metadata"], _places(tree.state["storage_data"]))
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(
            "damaged metadata of a distributed checkpoint", where=blob.name, found=f"{type(error).__name__}: {error}"
        ) from error
    blobs = _open_files(folder, blob.name, {chunk.file for _, chunks in tensors.values() for chunk in chunks})
    state = {name: _assemble(name, size, chunks, blobs) for name, (size, chunks) in tensors.items()}
    return Contents(DISTRIBUTED.title, _nest(state, tree.state.get("planner_data")), tuple(skipped))


def _nest(state: dict[str, Tree], paths: Any) -> dict[str, Tree]:
    """The dicts within dicts that were saved, whose keys the format has joined by dots."""
    nested: dict[str, Tree] = {}
    for name, node in state.items():
        path = paths.get(name) if type(paths) is dict else None
        if type(path) is not tuple or not 1 < len(path) <= MAX_DEPTH or not all(type(key) is str for key in path):
            path = (name,)
        folder = nested
        for key in path[:-1]:
            inner = folder.setdefault(key, {})
            folder = inner if type(inner) is dict else folder
        folder[path[-1]] = node
    return nested


def _places(storage: dict[Any, Any]) -> dict[tuple[str, tuple[int, ...]], tuple[str, int, int]]:
    """Where the chunk of a tensor that begins at some offsets lies: file, start and length."""
    places = {}
    for index, info in storage.items():
        key = (index.state["fqn"], _counts(index.state.get("offset") or ()))
        place = info.state
        if place.get("transform_descriptors"):
            raise ValueError(f"{key[0]!r} is compressed or transformed")
        start, length = _counts((place["offset"], place["length"]))
        if type(key[0]) is not str or type(place["relative_path"]) is not str:
            raise TypeError("a name that is no text")
        places[key] = (place["relative_path"], start, length)
    return places


def _counts(values: Any) -> tuple[int, ...]:
    if type(values) is not tuple or not all(type(n) is int and 0 <= n < 1 << 63 for n in values):
        raise TypeError("sizes that are no counts")
    return values


def _tensors(
    metadata: dict[str, Any], places: dict[tuple[str, tuple[int, ...]], tuple[str, int, int]]
) -> tuple[dict[str, tuple[tuple[int, ...], list[Chunk]]], list[Skipped]]:
    tensors: dict[str, tuple[tuple[int, ...], list[Chunk]]] = {}
    skipped: list[Skipped] = []
    for name, info in metadata.items():
        if info.name.endswith(".BytesStorageMetadata"):
            skipped.append(Skipped(name, "object that is no tensor"))
            continue
        chunks = []
        for chunk in info.state["chunks"]:
            offsets, sizes = _counts(chunk.state["offsets"]), _counts(chunk.state["sizes"])
            chunks.append(Chunk(offsets, sizes, *places[name, offsets]))
        size = _counts(info.state["size"])
        _check_tiling(name, size, chunks)
        tensors[name] = (size, chunks)
    return tensors, skipped


def _check_tiling(name: str, size: tuple[int, ...], chunks: list[Chunk]) -> None:
    """Raise unless the chunks cover the tensor, each element once."""
    inside = all(
        len(chunk.offsets) == len(chunk.sizes) == len(size)
        and all(o + n <= whole for o, n, whole in zip(chunk.offsets, chunk.sizes, size, strict=True))
        for chunk in chunks
    )
    if not inside or len(chunks) > MAX_CHUNKS or sum(prod(chunk.sizes) for chunk in chunks) != prod(size):
        raise ValueError(f"the chunks of {name!r} do not make up the tensor")
    starts = np.array([chunk.offsets for chunk in chunks], np.int64).reshape(len(chunks), len(size))
    stops = starts + np.array([chunk.sizes for chunk in chunks], np.int64).reshape(starts.shape)
    for row in range(len(chunks) - 1):
        apart = (starts[row + 1 :] >= stops[row]) | (stops[row + 1 :] <= starts[row])
        if not apart.any(axis=1).all():
            raise ValueError(f"the chunks of {name!r} overlap")


def _open_files(folder: Location, owner: str, names: set[str]) -> dict[str, Blob]:
    problems = [problem for name in sorted(names) if (problem := listed_file(folder, name, owner))]
    if problems:
        raise CheckpointError(problems)
    return {name: folder.child(name).blob() for name in names}


def _assemble(name: str, size: tuple[int, ...], chunks: list[Chunk], blobs: dict[str, Blob]) -> Tree:
    parts = [(chunk, _chunk(name, chunk, blobs[chunk.file])) for chunk in chunks]
    views = [(chunk, part) for chunk, part in parts if type(part) is TensorView]
    if len(views) != len(parts):
        return next(part for _, part in parts if type(part) is not TensorView)
    if len(views) == 1:
        return views[0][1]
    records = [(chunk, _record(name, chunk, view)) for chunk, view in views]
    dtypes = {record.dtype for _, record in records}
    if len(dtypes) != 1:
        raise CheckpointError(
            "chunks of a tensor differ in dtype", where=f"{name!r:.200}", found=f"{sorted(map(str, dtypes))}"
        )
    dtype = dtypes.pop()
    nbytes, room = prod(size) * dtype.itemsize, sum(record.storage.nbytes for _, record in records)
    if nbytes > max(room, contents.MAX_EXPANSION):
        raise CheckpointError(
            "tensor of an absurd shape", where=f"{name!r:.200}", found=f"shape {size!r:.200} over {room} bytes"
        )
    storage = rendered(_joined(size, records), dtype.itemsize, f"{len(chunks)} chunks of {name}")
    return stored(storage, dtype, size, name)


def _chunk(name: str, chunk: Chunk, blob: Blob) -> Tree:
    inner = PartBlob(blob, chunk.start, chunk.length, f"a chunk of {name}")
    tree = torch_zip.read(inner, zipdir.read_directory(inner)).tree
    if isinstance(tree, Foreign | dict | list):
        raise CheckpointError("chunk of a tensor is no tensor", where=inner.name)
    if type(tree) is TensorView and tree.size != chunk.sizes:
        raise CheckpointError(
            "chunk has another shape than the metadata says",
            where=inner.name,
            found=f"{tree.size!r:.200}",
            expected=f"{chunk.sizes}",
        )
    return tree


def _record(name: str, chunk: Chunk, view: TensorView) -> Tensor:
    made = contents.tensor(f"{name} at {chunk.offsets}", view)
    if isinstance(made, Problem):
        raise CheckpointError(made)
    return made


def _joined(size: tuple[int, ...], records: list[tuple[Chunk, Tensor]]) -> Value:
    """The whole tensor as pieces, each a chunk."""
    pieces = tuple(
        Piece(View(number, 0, record.shape, record.strides), chunk.offsets)
        for number, (chunk, record) in enumerate(records)
    )
    recipe = Recipe(size, size, records[0][1].dtype, (pieces,))
    return Value(recipe, tuple(record for _, record in records))
