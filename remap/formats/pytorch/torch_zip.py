"""``torch.save`` files: a zip archive of ``data.pkl`` and one stored entry a storage.

Layout: https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remap.errors import CheckpointError
from remap.formats.containers.zipdir import STORED, ZipEntry, entry_blob, locate, only_root, read_entry
from remap.formats.contents import Contents, attach
from remap.formats.format import Format
from remap.formats.pickles.numpy_pickle import resolve_arrays
from remap.formats.pickles.torch_pickle import TorchPickle
from remap.formats.pytorch.torch_legacy import LOADER, storage_loader
from remap.formats.tree import Tree
from remap.formats.unread import Unread
from remap.tensors.blob import Blob
from remap.tensors.handles import Handles
from remap.tensors.local_file import LocalFile, files_of
from remap.tensors.tensor import Storage

MAX_PICKLE = 1 << 30


@dataclass(slots=True, eq=False, weakref_slot=True)
class EntryStorage:
    """A stored entry of an archive; where it starts is looked up when it is first read.

    Not frozen, though nothing changes it: checkpoints have a hundred thousand, and a frozen one takes twice as long.

    Args:
        blob: The archive.
        name: The entry's.
        entry: It.
    """

    blob: Blob
    name: str
    entry: ZipEntry

    @property
    def nbytes(self) -> int:
        return self.entry.nbytes

    @property
    def place(self) -> str:
        return f"{self.name} in {self.blob.name}"

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """Those of the archive."""
        return files_of(self.blob)

    def map(self) -> np.ndarray:
        return _LOCATED.get(self, self._locate).map()

    def drop_pages(self) -> None:
        storage = _LOCATED.there(self)
        if storage is not None:
            storage.drop_pages()

    def release(self) -> None:
        storage = _LOCATED.there(self)
        if storage is not None:
            storage.release()

    def _locate(self) -> Storage:
        return self.blob.storage(locate(self.blob, self.name, self.entry), self.nbytes)


_LOCATED: Handles[EntryStorage, Storage] = Handles()


class TorchZip(Format):
    """What ``torch.save`` writes since version 1.6."""

    name = "torch_zip"
    title = "torch zip"

    def recognise(self, file: Unread) -> bool:
        return any(name.endswith("data.pkl") for name in file.entries)

    def read(self, file: Unread) -> Contents:
        return read(file.blob, file.entries)


TORCH_ZIP = TorchZip()


def read(blob: Blob, entries: dict[str, ZipEntry]) -> Contents:
    """The contents of a torch zip file.

    Raises:
        CheckpointError: It is damaged, hostile, big-endian or compressed.
    """
    root = only_root(blob, entries, "data.pkl")
    check_byte_order(blob, entries, root)
    return Contents(TORCH_ZIP.title, read_pickle(blob, entries, f"{root}data.pkl", f"{root}data/"))


def check_byte_order(blob: Blob, entries: dict[str, ZipEntry], root: str) -> None:
    """Raise for an archive that was written on a big-endian machine."""
    name = f"{root}byteorder"
    if name in entries and (order := read_entry(blob, name, entries[name], 16)) != b"little":
        raise CheckpointError(
            "checkpoint is not in little-endian byte order",
            where=blob.name,
            found=order.decode("utf-8", "replace"),
            fix="load it with torch on any machine and save it again",
        )


def read_pickle(blob: Blob, entries: dict[str, ZipEntry], pickle: str, folder: str) -> Tree:
    """The tree of one pickle of an archive, its storages being the entries under ``folder``."""
    data = read_entry(blob, pickle, entries[pickle], MAX_PICKLE)
    inner = entry_blob(blob, pickle, entries[pickle])
    runner = TorchPickle(inner.name, also={LOADER: storage_loader(inner, data)})
    tree, _ = runner.run(data)
    keys = {ref.key for ref in runner.storages.values()}
    storages = {key: storage for key in keys if (storage := entry_storage(blob, folder + key, entries))}
    attach(runner.storages.values(), storages, blob.name)
    resolve_arrays(runner.arrays, inner)
    return tree


def entry_storage(blob: Blob, name: str, entries: dict[str, ZipEntry]) -> Storage | None:
    """The bytes of one entry, None if there is no such entry.

    Raises:
        CheckpointError: It is compressed.
    """
    entry = entries.get(name)
    if entry is None:
        return None
    if entry.method != STORED or entry.encrypted or entry.packed != entry.nbytes:
        raise CheckpointError(
            "tensor data is compressed, so it cannot be read in place",
            where=f"{name} in {blob.name}",
            expected="entries that are stored, as torch.save writes them",
            fix="unpack the archive and pack it again without compression (zip -0), or load and save it with torch",
        )
    return EntryStorage(blob, name, entry)
