"""Hostile and damaged files whose tensors are made when they are read: no memory, no disk, no hang."""

from __future__ import annotations

import pickle
import random
import struct
import warnings
import zipfile

import h5py
import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from stores import Web
from test_open_damaged import _deflated, mutated, survive
from test_open_folders import cut

from remap.errors import CheckpointError, RemapError
from remap.opening.anything import open_weights
from remap.opening.open import open_checkpoint
from remap.tensors import computed

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(autouse=True)
def in_file(monkeypatch, tmp_path):
    """All of it goes through a file, in a folder in which none may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(computed, "IN_MEMORY", 0)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield
    assert list(folder.iterdir()) == []


def test_chunks_that_are_one_number_each(tmp_path):
    """Sixteen gigabytes made of eight numbers."""
    dcp.save({"w": torch.ones(1, 1), "other": torch.ones(2)}, checkpoint_id=tmp_path / "d")
    whole = torch.zeros(1, 1).expand(8, 1 << 29)
    boxes = [(slice(row, row + 1), slice(0, 1 << 29)) for row in range(8)]
    cut(tmp_path / "d", "w", boxes, whole, dense=False)
    metadata = (tmp_path / "d" / ".metadata").read_bytes()
    state = pickle.loads(metadata)
    state.state_dict_metadata["w"].size = whole.shape
    (tmp_path / "d" / ".metadata").write_bytes(pickle.dumps(state))
    with pytest.raises(CheckpointError, match="absurd shape"):
        open_checkpoint(tmp_path / "d")


@pytest.mark.parametrize("factor", [0.5, 2])
def test_deflated_entry_of_another_size(factor, tmp_path):
    """The directory and the array's header agree with each other, and not with what is packed."""
    array = np.arange(10_000, dtype="f4")
    path = tmp_path / "a.npz"
    np.savez_compressed(path, w=array)
    with zipfile.ZipFile(path) as archive:
        data = archive.read("w.npy")
    wanted = int(10_000 * factor)
    data = data.replace(b"(10000,), }", f"({wanted},), }}".encode().ljust(11))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", data)
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    assert struct.unpack_from("<L", raw, at + 24) == (len(data),)
    struct.pack_into("<L", raw, at + 24, 128 + 4 * wanted)
    path.write_bytes(raw)
    found = open_checkpoint(path)["w"]
    assert found.shape == (wanted,)
    with pytest.raises(CheckpointError, match=r"damaged zip archive|another size"):
        found.array()


def test_deflated_entry_changed(tmp_path):
    path = tmp_path / "sample"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _deflated(path)
    whole, chance = path.read_bytes(), random.Random(0)
    for _ in range(500):
        path.write_bytes(mutated(whole, chance))
        survive(path)


class Endless:
    """A file of a petabyte: a safetensors header, then zeros."""

    head = b'{"w":{"dtype":"F32","shape":[281474976710000],"data_offsets":[0,1125899906840000]}}'

    def __len__(self):
        return 8 + len(self.head) + 1125899906840000

    def __getitem__(self, cut):
        first, last, _ = cut.indices(len(self))
        data = (len(self.head).to_bytes(8, "little") + self.head)[first:last]
        return data + bytes(min(last - first - len(data), 1 << 20))


def test_a_server_that_announces_a_petabyte():
    store = Web()
    try:
        found = open_checkpoint(store.put("a.safetensors", Endless()))
        assert found["w"].shape == (281474976710000,)
        with pytest.raises(CheckpointError, match="there is no room"):
            found["w"].array()
        assert store.sent < 5000
    finally:
        store.close()


def test_packed_datasets(tmp_path):
    arrays = {"a/vars/0": np.random.default_rng(0).normal(size=(300, 70)).astype("f4"), "b": np.arange(7), "c": np.pi}
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        for name, array in arrays.items():
            packing = {"compression": "gzip", "chunks": True} if np.ndim(array) else {}
            file.create_dataset(name, data=array, **packing)
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"d", h5py.h5t.IEEE_F32LE, space, compact).write(space, space, np.ones(3, "f4"))
    found = open_weights(tmp_path / "w.weights.h5")
    for name, array in (arrays | {"d": np.ones(3, "f4")}).items():
        read = found[name].array()
        assert read.dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(read, array)


def test_packed_dataset_of_an_absurd_shape(tmp_path):
    """Six gigabytes of nothing but the number that stands for what was never written."""
    path = tmp_path / "w.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a/vars/0", (1 << 20, 1500), "f4", chunks=(64, 64))
    with pytest.raises(CheckpointError, match="absurd shape"):
        open_weights(path)


def test_packed_dataset_damaged(tmp_path):
    path = tmp_path / "w.weights.h5"
    array = np.random.default_rng(0).normal(size=(50, 20)).astype("f4")
    with h5py.File(path, "w") as file:
        file.create_dataset("a/vars/0", data=array, compression="gzip", chunks=(50, 20))
        start = file["a/vars/0"].id.get_chunk_info(0).byte_offset
    raw = bytearray(path.read_bytes())
    raw[start + 10 : start + 200] = bytes(190)
    path.write_bytes(raw)
    found = open_weights(path)["a/vars/0"]
    with pytest.raises(RemapError, match="cannot read the HDF5 file"):
        found.array()
