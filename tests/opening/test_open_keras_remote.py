"""Files of Keras and TensorFlow behind a URL: the same tensors as in the local file, no more fetched than is read."""

from __future__ import annotations

import json

import fsspec
import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from stores import Web

from remap.errors import CheckpointError
from remap.opening.anything import open_weights

NAMES = ["m.weights.h5", "m.h5", "m.keras", "m.weights.json", "ck", "ck.index", "ck.data-00000-of-00001"]


def network(units=5):
    return keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(units)]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One model in every format, as the frameworks write it."""
    found = tmp_path_factory.mktemp("files")
    keras.utils.set_random_seed(0)
    model = network()
    model.save_weights(found / "m.weights.h5")
    model.save(found / "m.h5")
    model.save(found / "m.keras")
    model.save_weights(found / "m.weights.json", max_shard_size=3e-6)
    tf.train.Checkpoint(model=model).write(str(found / "ck"))
    return found


@pytest.fixture
def memory(folder):
    system = fsspec.filesystem("memory")
    for path in folder.iterdir():
        system.pipe(f"/models/{path.name}", path.read_bytes())
    yield system
    system.store.clear()


@pytest.fixture
def web(folder):
    found = Web()
    for path in folder.iterdir():
        found.put(path.name, path.read_bytes())
    yield found
    found.close()


def contents(path):
    found = open_weights(path)
    return found.format, {name: (tensor.dtype, tensor.array().tolist()) for name, tensor in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_as_the_local_file(name, folder, memory, web):
    local = contents(folder / name)
    assert len(local[1]) >= 4
    assert contents(f"memory://models/{name}") == local
    assert contents(web.url(name)) == local


@pytest.mark.parametrize("name", NAMES)
def test_commands(name, folder, memory, remap_command):
    url = f"memory://models/{name}"
    shown = json.loads(remap_command("inspect", url, "--json").out)
    assert shown["path"] == url
    assert shown["tensors"] == json.loads(remap_command("inspect", folder / name, "--json").out)["tensors"]
    ran = remap_command("diff", url, folder / name)
    assert ran.code == 0, ran.err
    assert "equal" in ran.out


def test_a_difference_is_found(memory, folder, tmp_path, remap_command):
    other = network()
    other.save_weights(tmp_path / "other.weights.h5")
    ran = remap_command("diff", "memory://models/m.weights.h5", tmp_path / "other.weights.h5")
    assert ran.code == 1
    assert "different" in ran.out


LARGE = ["w.weights.h5", "w.keras", "ck"]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Twelve megabytes of one tensor."""
    found = tmp_path_factory.mktemp("large")
    model = keras.Sequential([keras.Input((1000,)), keras.layers.Dense(3000)])
    model.save_weights(found / "w.weights.h5")
    model.save(found / "w.keras")
    tf.train.Checkpoint(model=model).write(str(found / "ck"))
    return found


@pytest.mark.parametrize("name", LARGE)
def test_headers_alone_are_fetched(name, large):
    store = Web()
    try:
        for path in large.iterdir():
            store.put(path.name, path.read_bytes())
        found = open_weights(store.url(name))
        assert 0 < store.sent < 300_000 < found.nbytes
        before = store.sent
        bias = next(tensor for tensor in found.values() if tensor.shape == (3000,))
        assert not bias.array().any()
        assert store.sent - before <= bias.nbytes
    finally:
        store.close()


def test_a_packed_dataset_is_fetched_as_it_is_packed(tmp_path):
    array = np.repeat(np.random.default_rng(0).normal(size=(1000, 1)), 3000, axis=1).astype("f4")
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file.create_dataset("a/vars/0", data=array, compression="gzip")
    store = Web()
    try:
        found = open_weights(store.put("w.weights.h5", (tmp_path / "w.weights.h5").read_bytes()))
        assert np.array_equal(found["a/vars/0"].array(), array)
        assert store.sent < 1_000_000 < array.nbytes
    finally:
        store.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_connection_that_breaks(name, web, remap_command, monkeypatch):
    async def at_once(_delay, result=None):
        return result

    monkeypatch.setattr("asyncio.sleep", at_once)
    web.breaking = True
    ran = remap_command("inspect", web.url(name))
    assert ran.code == 3
    assert ran.err.startswith("error: cannot read the URL\n"), ran.err
    assert "Traceback" not in ran.err


def test_a_connection_that_breaks_later(tmp_path, monkeypatch):
    """Inside of what h5py itself reads."""
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file.create_dataset("a/vars/0", data=np.random.default_rng(0).normal(size=(200, 3000)), compression="gzip")
    store = Web()
    try:
        found = open_weights(store.put("w.weights.h5", (tmp_path / "w.weights.h5").read_bytes()))
        store.breaking = True
        with pytest.raises(CheckpointError, match="cannot read the URL"):
            found["a/vars/0"].array()
    finally:
        store.close()


@pytest.mark.parametrize("name", ["nothing.weights.h5", "nothing", "nothing.index"])
def test_a_name_that_is_not_there(name, memory, web, remap_command):
    for url in (f"memory://models/{name}", web.url(name)):
        ran = remap_command("inspect", url)
        assert ran.code == 3
        assert ran.err.startswith("error: no such checkpoint\n"), ran.err


def test_a_missing_shard(memory, remap_command):
    memory.rm("/models/m_00001.weights.h5")
    ran = remap_command("inspect", "memory://models/m.weights.json")
    assert ran.code == 3
    assert "shard is missing" in ran.err
