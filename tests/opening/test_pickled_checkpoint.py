"""Checkpoints are data: pickled before and after their tensors are read, another process reads the same bytes."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import zipfile
from functools import partial

import h5py
import keras
import numpy as np
import pytest
import reading
import tensorflow as tf
import torch
import torch.distributed.checkpoint as dcp
from safetensors.numpy import save_file
from test_open_folders import BOXES, cut
from test_open_pickles import tar_file
from test_open_sentence_transformers import save as save_sentences
from torch_dtypes import of_every_dtype

from remap.opening.anything import open_weights
from remap.opening.memory import from_state_dict
from remap.opening.open import Dequantized

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def plain() -> dict[str, torch.Tensor]:
    base = torch.arange(600, dtype=torch.float32).reshape(20, 30)
    return {"a": base, "b": base.t(), "c": torch.arange(5), "tied": base}


def arrays() -> dict[str, np.ndarray]:
    return {"a": np.arange(600, dtype="f4").reshape(20, 30), "b": np.arange(7), "c": np.array(2.5, "f4")}


def torch_zip(folder):
    torch.save(of_every_dtype(), folder / "a.pt")
    return folder / "a.pt"


def torch_zip_with_numpy(folder):
    torch.save({"model": {"w": torch.ones(3), "array": np.arange(12.0).reshape(3, 4)}}, folder / "a.pt")
    return folder / "a.pt"


def legacy(folder):
    torch.save(plain(), folder / "a.pt", _use_new_zipfile_serialization=False)
    return folder / "a.pt"


def tar(folder):
    return tar_file(folder / "a.pt", {name: tensor for name, tensor in plain().items() if name != "tied"})


def torchscript(folder):
    torch.jit.save(torch.jit.script(torch.nn.Linear(4, 3)), folder / "a.pt")
    return folder / "a.pt"


def pt2(folder):
    torch.export.save(torch.export.export(torch.nn.Linear(4, 3), (torch.ones(1, 4),)), folder / "a.pt2")
    return folder / "a.pt2"


def safetensors(folder):
    save_file(arrays(), folder / "a.safetensors")
    return folder / "a.safetensors"


def npz(folder):
    np.savez(folder / "a.npz", **arrays())
    return folder / "a.npz"


def deflated_npz(folder):
    np.savez_compressed(folder / "a.npz", fortran=np.asfortranarray(np.arange(12.0).reshape(3, 4)), **arrays())
    return folder / "a.npz"


def shards(folder):
    whole = arrays()
    for number, names in enumerate((["a"], ["b", "c"])):
        save_file({name: whole[name] for name in names}, folder / f"s{number}.safetensors")
    index = {"weight_map": {"a": "s0.safetensors", "b": "s1.safetensors", "c": "s1.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def distributed(folder):
    dcp.save({"model": plain()}, checkpoint_id=folder / "d")
    return folder / "d"


def distributed_in_chunks(folder):
    whole = torch.arange(12, dtype=torch.float32).reshape(4, 3)
    dcp.save({"x": whole, "y": torch.ones(2)}, checkpoint_id=folder / "d")
    cut(folder / "d", "x", BOXES, whole)
    return folder / "d"


def sentence_transformers(folder):
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Identity(), torch.nn.Linear(3, 2))
    return save_sentences(model, folder / "st")


def quantized(folder):
    value = torch.arange(240, dtype=torch.float32).reshape(40, 6) / 100
    channels = torch.quantize_per_channel(value, torch.rand(6) + 0.01, torch.arange(6), 1, torch.qint8)
    torch.save({"q": torch.quantize_per_tensor(value, 0.05, 3, torch.quint8), "c": channels}, folder / "q.pt")
    return Dequantized(folder / "q.pt")


def keras_model() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d"), keras.layers.Dense(2, name="e")])


def weights_h5(folder):
    keras_model().save_weights(folder / "w.weights.h5")
    return folder / "w.weights.h5"


def chunked_h5(folder):
    with h5py.File(folder / "w.weights.h5", "w") as file:
        file.create_dataset("d/vars/0", data=np.arange(600.0).reshape(20, 30), compression="gzip")
        file.create_dataset("d/vars/1", data=np.arange(5, dtype=">f4"))
    return folder / "w.weights.h5"


def keras_archive(folder):
    keras_model().save(folder / "m.keras")
    return folder / "m.keras"


def deflated_archive(folder):
    with (
        zipfile.ZipFile(keras_archive(folder)) as source,
        zipfile.ZipFile(folder / "d.keras", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    return folder / "d.keras"


def keras_shards(folder):
    keras_model().save_weights(folder / "w.weights.json", max_shard_size=1e-7)
    return folder / "w.weights.json"


def bundle(folder):
    tf.train.Checkpoint(v=tf.Variable([1.0, 2.0]), w=tf.Variable([[3]])).write(str(folder / "m.ckpt"))
    return folder / "m.ckpt"


LOCAL = [
    torch_zip,
    torch_zip_with_numpy,
    legacy,
    tar,
    torchscript,
    pt2,
    safetensors,
    npz,
    deflated_npz,
    shards,
    distributed,
    distributed_in_chunks,
    sentence_transformers,
    quantized,
    weights_h5,
    chunked_h5,
    keras_archive,
    deflated_archive,
    keras_shards,
    bundle,
]


@pytest.fixture(scope="module")
def elsewhere():
    """Reads a pickled checkpoint in a process that shares nothing with this one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield partial(pool.apply, reading.read)


def assert_travels(checkpoint, elsewhere):
    before = pickle.dumps(checkpoint)
    here = {name: (each.dtype.name, each.shape, each.array().tobytes()) for name, each in checkpoint.items()}
    assert here
    after = pickle.dumps(checkpoint)
    assert elsewhere((before,)) == here
    assert elsewhere((after,)) == here
    assert abs(len(after) - len(before)) < 100, "it takes along what reading made"
    for tensor in checkpoint.values():
        tensor.storage.release()
    assert {name: (each.dtype.name, each.shape, each.array().tobytes()) for name, each in checkpoint.items()} == here


@pytest.mark.parametrize("make", LOCAL, ids=lambda make: make.__name__)
def test_a_checkpoint_of_this_machine(make, tmp_path, elsewhere):
    checkpoint = open_weights(make(tmp_path))
    assert_travels(checkpoint, elsewhere)
    again = pickle.loads(pickle.dumps(checkpoint))
    assert (again.format, again.kind, again.peeled, again.skipped) == (
        checkpoint.format,
        checkpoint.kind,
        checkpoint.peeled,
        checkpoint.skipped,
    )


def test_a_state_dict_in_memory(elsewhere):
    assert_travels(from_state_dict(of_every_dtype()), elsewhere)


@pytest.fixture
def served(tmp_path):
    """The folder behind HTTP, by range."""
    from stores import Web

    store = Web()
    yield lambda path: store.put(path.name, path.read_bytes())
    store.close()


@pytest.mark.parametrize(
    "make", [torch_zip, legacy, safetensors, deflated_npz, chunked_h5, weights_h5], ids=lambda make: make.__name__
)
def test_a_checkpoint_behind_a_url(make, tmp_path, served, elsewhere):
    checkpoint = open_weights(served(make(tmp_path)))
    assert_travels(checkpoint, elsewhere)


def test_records_are_small(tmp_path):
    state = {f"layer.{number}.weight": torch.ones(64, 64) for number in range(300)}
    torch.save(state, tmp_path / "a.pt")
    checkpoint = open_weights(tmp_path / "a.pt")
    for tensor in checkpoint.values():
        tensor.array()
    assert len(pickle.dumps(checkpoint)) < 300 * 400
