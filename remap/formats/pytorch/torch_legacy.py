"""Files that are pickles from their first byte: ``torch.save`` before version 1.6, and plain ``pickle.dump``.

A legacy torch file is five pickles (magic number, version, system, object, storage keys), then the storages, each
after its number of elements (https://github.com/pytorch/pytorch/blob/main/torch/serialization.py, ``_legacy_save``).
"""

from __future__ import annotations

import mmap
from typing import Any

from remap.errors import CheckpointError
from remap.formats.contents import Contents, attach
from remap.formats.format import Format
from remap.formats.pickles.inert import Constructor
from remap.formats.pickles.numpy_pickle import decoded, resolve_arrays
from remap.formats.pickles.torch_pickle import HostileError, TorchPickle
from remap.formats.tree import Span, StorageRef, Tree
from remap.formats.unread import Unread
from remap.tensors.blob import Blob, BytesBlob, check_range
from remap.tensors.tensor import Storage

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOLS = tuple(bytes([0x80, version]) for version in range(2, 6))
FRONTS = (1 << 20, 1 << 24)
LOADER = ("torch.storage", "_load_from_bytes")


class TorchLegacy(Format):
    """What ``torch.save`` wrote before version 1.6, and plain pickles."""

    name = "torch_legacy"
    title = "legacy torch"

    def recognise(self, file: Unread) -> bool:
        return file.head.startswith(PROTOCOLS)

    def read(self, file: Unread) -> Contents:
        return read(file.blob)


TORCH_LEGACY = TorchLegacy()


def read(blob: Blob) -> Contents:
    """The contents of a legacy torch file or of a plain pickle.

    The pickles stand in front of the numbers, so its beginning is tried first: behind a URL the rest is left there.

    Raises:
        CheckpointError: It is damaged or hostile.
    """
    for length in FRONTS:
        if length < blob.size:
            try:
                return _read_at(blob, blob.read(0, length), 0)
            except HostileError:
                raise
            except CheckpointError:
                continue  # most likely since its beginning is longer
    return _read_at(blob, blob.buffer(), 0)


def _read_at(blob: Blob, data: bytes | mmap.mmap, start: int) -> Contents:
    runner = TorchPickle(blob.name, also={LOADER: storage_loader(blob, data)})
    tree, end = runner.run(data, start)
    title = "pickle"
    if type(tree) is int and tree == MAGIC_NUMBER:
        title = TORCH_LEGACY.title
        tree = _read_parts(blob, data, runner, end)
    elif runner.storages:
        raise CheckpointError(
            "pickle speaks of tensors whose bytes are not in the file",
            where=blob.name,
            fix="save it with torch.save, not with pickle",
        )
    resolve_arrays(runner.arrays, blob)
    return Contents(title, tree)


def _read_parts(blob: Blob, data: bytes | mmap.mmap, runner: TorchPickle, end: int) -> Tree:
    version, end = runner.run(data, end)
    system, end = runner.run(data, end)
    little = type(system) is dict and system.get("little_endian") is True
    if version != 1001 or not little:
        raise CheckpointError(
            "legacy torch file of an unknown version or byte order",
            where=blob.name,
            found=f"version {version!r:.40}, {'little' if little else 'big'}-endian",
            expected="version 1001, little-endian",
        )
    tree, end = runner.run(data, end)
    keys, end = runner.run(data, end)
    attach(runner.storages.values(), _place_storages(blob, runner, keys, end), blob.name)
    return tree


def _place_storages(blob: Blob, runner: TorchPickle, keys: Any, at: int) -> dict[str, Storage]:
    itemsizes = {ref.key: ref.dtype.itemsize for ref in runner.storages.values() if ref.dtype}
    storages: dict[str, Storage] = {}
    for key in keys if type(keys) is list else ():
        itemsize = itemsizes.get(key) if type(key) is str else None
        if itemsize is None:
            raise CheckpointError(
                "legacy torch file lists a storage of unknown kind", where=blob.name, found=f"{key!r:.80}"
            )
        length = int.from_bytes(blob.read(at, 8), "little") * itemsize
        check_range(blob, at + 8, length)
        storages[key] = blob.storage(at + 8, length)
        at += 8 + length
    return storages


def storage_loader(blob: Blob, data: bytes | mmap.mmap) -> Constructor:
    """The stand-in for the function that reads a storage which was pickled as a legacy torch file of its own.

    Args:
        blob: What holds the outer pickle.
        data: The same bytes.
    """

    def load(content: Any) -> StorageRef:
        if type(content) is Span:
            tree = _read_at(blob, data, content.start).tree
        else:
            tree = read(BytesBlob(decoded(content) or b"", f"a storage in {blob.name}")).tree
        if type(tree) is not StorageRef:
            raise TypeError("storage that is none")
        return tree

    return Constructor(".".join(LOADER), load)
