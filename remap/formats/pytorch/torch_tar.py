"""The oldest torch files, of version 0.1: a tar archive of ``storages``, ``tensors`` and ``pickle``.

Layout: https://github.com/pytorch/pytorch/blob/main/torch/serialization.py, ``_legacy_load``.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

from remap.errors import CheckpointError
from remap.formats.contents import Contents
from remap.formats.format import Format
from remap.formats.pickles.allowed import ElementType
from remap.formats.pickles.torch_pickle import TorchPickle
from remap.formats.tree import StorageRef, TensorView, Tree
from remap.formats.unread import Unread
from remap.tensors.blob import Blob, PartBlob

BLOCK = 512
MAX_MEMBERS = 64
MAX_RANK = 32
FRONTS = (1 << 12, 1 << 16, 1 << 24)


class TorchTar(Format):
    """What torch wrote at version 0.1."""

    name = "torch_tar"
    title = "torch tar"

    def recognise(self, file: Unread) -> bool:
        head = file.head
        return head[257:262] == b"ustar" or head.startswith((b"sys_info\0", b"storages\0", b"pickle\0"))

    def read(self, file: Unread) -> Contents:
        return read(file.blob)


TORCH_TAR = TorchTar()


def read(blob: Blob) -> Contents:
    """The contents of a torch tar file.

    Raises:
        CheckpointError: It is damaged, hostile or another kind of tar archive.
    """
    members = _members(blob)
    missing = [name for name in ("storages", "tensors", "pickle") if name not in members]
    if missing:
        raise CheckpointError(
            "tar archive is no torch checkpoint",
            where=blob.name,
            found=", ".join(members),
            fix="unpack it first; a torch file of version 0.1 would have storages, tensors and pickle in it",
        )
    storages = _storages(members["storages"])
    tensors = _tensors(members["tensors"], storages)

    def persist(pid: Any) -> Any:
        return pid[0] if type(pid) is tuple else tensors[_key(pid)]

    runner = TorchPickle(f"pickle in {blob.name}", persist)
    tree, _ = runner.run(members["pickle"].buffer())
    return Contents(TORCH_TAR.title, tree)


def _members(blob: Blob) -> dict[str, PartBlob]:
    members: dict[str, PartBlob] = {}
    at = 0
    while at + BLOCK <= blob.size and len(members) < MAX_MEMBERS:
        header = blob.read(at, BLOCK)
        name = header[:100].rstrip(b"\0").decode("utf-8", "replace").removeprefix("./")
        if not name:
            break
        try:
            size = int(header[124:136].rstrip(b"\0 ") or b"0", 8)
        except ValueError as error:
            raise CheckpointError("damaged tar archive", where=blob.name, found=f"header at byte {at}") from error
        if header[156:157] in (b"0", b"\0"):
            if name in members:
                raise CheckpointError("damaged tar archive", where=blob.name, found=f"two members called {name!r}")
            members[name] = PartBlob(blob, at + BLOCK, size, name)
        at += BLOCK + size + -size % BLOCK
    return members


class _Items:
    """Pickles and raw numbers that follow each other in one member."""

    def __init__(self, blob: Blob) -> None:
        self.blob = blob
        self.at = 0
        self._runner = TorchPickle(blob.name)

    def pickle(self, kind: type) -> Any:
        tree, length = self._run()
        self.at += length
        if type(tree) is not kind:
            raise CheckpointError("damaged torch tar file", where=self.blob.name, found=f"{type(tree).__name__}")
        return tree

    def _run(self) -> tuple[Tree, int]:
        """The next pickle and its length; what follows it may be large, so its beginning is tried first."""
        rest = self.blob.size - self.at
        for length in FRONTS:
            if length < rest:
                with suppress(CheckpointError):
                    return self._runner.run(self.blob.read(self.at, length))
        return self._runner.run(self.blob.read(self.at, rest))

    def numbers(self, layout: str) -> tuple[int, ...]:
        data = self.blob.read(self.at, struct.calcsize(layout))
        self.at += len(data)
        return struct.unpack(layout, data)


def _storages(blob: Blob) -> dict[str, StorageRef]:
    items = _Items(blob)
    storages: dict[str, StorageRef] = {}
    for _ in range(items.pickle(int)):
        record = items.pickle(tuple)
        kind = record[2] if len(record) == 3 else None
        dtype = kind.dtype if type(kind) is ElementType else None
        if dtype is None:
            raise CheckpointError("torch tar file has a storage of an unknown kind", where=blob.name)
        key = _key(record[0])
        (numel,) = items.numbers("<q")
        length = numel * dtype.itemsize
        ref = StorageRef(key, dtype, dtype.name, numel)
        ref.storage = PartBlob(blob, items.at, length, key).storage(0, length)
        items.at += length
        storages[key] = ref
    view: Any
    for view in items.pickle(list):
        if type(view) is not tuple or len(view) != 4:
            raise CheckpointError("torch tar file has a part of a storage of an unknown kind", where=blob.name)
        target, root, start, numel = view
        base = storages.get(_key(root))
        if base is None:
            raise CheckpointError("torch tar file has a part of a storage that is not there", where=blob.name)
        if type(start) is not int or type(numel) is not int or not 0 <= start <= start + numel <= base.numel:
            raise CheckpointError("torch tar file has a part of a storage that lies outside of it", where=blob.name)
        ref = StorageRef(_key(target), base.dtype, base.dtype_name, numel, start)
        ref.storage = base.storage
        storages[ref.key] = ref
    return storages


def _key(value: Any) -> str:
    if type(value) not in (str, int):
        raise CheckpointError("torch tar file has a key of an unknown kind", found=type(value).__name__)
    return str(value)


def _tensors(blob: Blob, storages: dict[str, StorageRef]) -> dict[str, Tree]:
    items = _Items(blob)
    tensors: dict[str, Tree] = {}
    for _ in range(items.pickle(int)):
        record = items.pickle(tuple)
        key, storage = (_key(each) for each in record[:2]) if len(record) == 3 else ("", "")
        rank, _ = items.numbers("<ii")
        if not 0 <= rank <= MAX_RANK or storage not in storages:
            raise CheckpointError("torch tar file has a tensor of an unknown kind", where=blob.name)
        size, stride, offset = items.numbers(f"<{rank}q"), items.numbers(f"<{rank}q"), items.numbers("<q")[0]
        tensors[key] = TensorView(storages[storage], offset, size, stride)
    return tensors
