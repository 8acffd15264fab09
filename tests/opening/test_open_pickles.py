"""Files that are pickles from their first byte, and whole modules in any file."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from collections import OrderedDict
from importlib.metadata import distribution

import numpy as np
import pytest
import torch

from remap.errors import CheckpointError
from remap.opening.open import open_checkpoint


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 3, 3)
        self.bn = torch.nn.BatchNorm2d(3)
        self.same = self.conv
        self.register_buffer("mask", torch.ones(2), persistent=False)
        self.register_buffer("none", None)
        self.register_buffer("grid", torch.arange(3))
        self.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Identity()])
        self.alpha = torch.nn.Parameter(torch.tensor(0.5))


def legacy(value, path):
    torch.save(value, path, _use_new_zipfile_serialization=False)
    return path


def test_every_dtype(tmp_path, every_dtype, same):
    same(open_checkpoint(legacy(every_dtype, tmp_path / "a.pt")), every_dtype)


def test_every_layout(tmp_path, every_layout, same):
    found = open_checkpoint(legacy(every_layout, tmp_path / "a.pt"))
    same(found, torch.load(tmp_path / "a.pt"))
    assert found.format == "legacy torch"
    assert found["dense"].storage is found["tied"].storage


@pytest.mark.parametrize("net", ["pnet", "rnet", "onet"])
def test_published_legacy_weights(net, same):
    path = distribution("facenet-pytorch").locate_file(f"facenet_pytorch/data/{net}.pt")
    same(open_checkpoint(str(path)), torch.load(path))


@pytest.mark.parametrize("zipped", [True, False])
def test_whole_module(tmp_path, same, zipped):
    model = Block()
    torch.save(model, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = open_checkpoint(tmp_path / "a.pt")
    same(found, model.state_dict())
    assert found.peeled == (f"module {Block.__module__}.Block",)


def test_module_in_a_dict(tmp_path):
    model = Block()
    torch.save({"epoch": 3, "model": torch.nn.DataParallel(model), "ema": None}, tmp_path / "a.pt")
    found = open_checkpoint(tmp_path / "a.pt")
    assert set(found) == set(model.state_dict())
    assert found.peeled[-1] == "prefix 'module.'"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_pickle_of_tensors_and_arrays(tmp_path, same, protocol):
    arrays = {"c": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(6, dtype="i4").reshape(2, 3))}
    state = {"t": torch.randn(3, 4).t(), "h": torch.randn(2).half()}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": {**state, **arrays}}, protocol))
    found = open_checkpoint(tmp_path / "a.pkl")
    same(found, {**state, **{name: torch.from_numpy(array) for name, array in arrays.items()}})
    assert found.format == "pickle"
    assert found["f"].strides == (1, 2)


def test_arrays_in_a_zip(tmp_path, same):
    torch.save({"w": torch.ones(2), "mean": np.array([0.5, 0.25], "f4"), "names": np.array(["a"])}, tmp_path / "a.pt")
    found = open_checkpoint(tmp_path / "a.pt")
    same(found, {"w": torch.ones(2), "mean": torch.tensor([0.5, 0.25])})
    assert [(skipped.name, skipped.reason) for skipped in found.skipped] == [("names", "numpy array of U1")]


def tar_file(path, state):
    """A file of torch 0.1, by the format's description: tensors that share one storage are written as its views."""
    storages, tensors = io.BytesIO(), io.BytesIO()
    kinds = {torch.float32: (torch.FloatStorage, torch.FloatTensor), torch.int64: (torch.LongStorage, torch.LongTensor)}
    bases = {tensor.untyped_storage().data_ptr(): tensor for tensor in state.values()}
    pickle.dump(len(bases), storages, 2)
    for key, tensor in bases.items():
        raw = bytes(tensor.untyped_storage())
        pickle.dump((key, "cpu", kinds[tensor.dtype][0]), storages, 2)
        storages.write(struct.pack("<q", len(raw) // tensor.itemsize) + raw)
    pickle.dump([], storages, 2)
    pickle.dump(len(state), tensors, 2)
    for key, tensor in enumerate(state.values()):
        pickle.dump((key, tensor.untyped_storage().data_ptr(), kinds[tensor.dtype][1]), tensors, 2)
        rank = tensor.dim()
        tensors.write(struct.pack("<ii", rank, 0) + struct.pack(f"<{rank}q{rank}q", *tensor.shape, *tensor.stride()))
        tensors.write(struct.pack("<q", tensor.storage_offset()))
    body = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            found = [key for key, tensor in enumerate(state.values()) if tensor is value]
            return str(found[0]) if found else None

    Pickler(body, 2).dump(OrderedDict(state))
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in (("sys_info", b""), ("pickle", body), ("tensors", tensors), ("storages", storages)):
            data = content if isinstance(content, bytes) else content.getvalue()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_tar(tmp_path, same):
    base = torch.randn(4, 6)
    state = {"a": base, "b": base.t()[1:4], "c": torch.arange(5), "d": torch.tensor(3.0)}
    path = tar_file(tmp_path / "a.pt", state)
    found = open_checkpoint(path)
    same(found, torch.load(path, weights_only=False))
    same(found, state)
    assert found.format == "torch tar"


def test_other_tar(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("weights.pt"))
    with pytest.raises(CheckpointError, match="no torch checkpoint"):
        open_checkpoint(tmp_path / "a.tar")


def test_quantised_only_when_asked(tmp_path):
    torch.manual_seed(0)
    value = torch.randn(4, 6)
    state = {
        "w": torch.ones(1),
        "tensor": torch.quantize_per_tensor(value, 0.05, 3, torch.quint8),
        "signed": torch.quantize_per_tensor(value.t(), 0.1, 0, torch.qint8),
        "wide": torch.quantize_per_tensor(value, 0.001, 7, torch.qint32),
        "channel": torch.quantize_per_channel(value, torch.rand(6) + 0.01, torch.arange(6), 1, torch.qint8),
    }
    for number, zipped in enumerate((True, False)):
        path = tmp_path / f"{number}.pt"
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        plain = open_checkpoint(path)
        assert list(plain) == ["w"]
        assert {skipped.name for skipped in plain.skipped} == set(state) - {"w"}
        found = open_checkpoint(path, dequantize=True)
        for name in set(state) - {"w"}:
            np.testing.assert_allclose(found[name].array(), state[name].dequantize().numpy(), rtol=1e-6)
            assert found[name].dtype == np.float32
