"""Damaged files: cut off at every length and with bytes changed at random, none may end in anything but a RemapError.

``REMAP_FUZZ`` sets how many mutations each format gets.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import time
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.distributed.checkpoint as dcp
from flax_file import FILE as FLAX_FILE
from safetensors.torch import save_file

from remap.errors import RemapError
from remap.opening.anything import open_weights

pytestmark = pytest.mark.no_cover  # the same roads thousands of times, so that counting lines doubles their time
MUTATIONS = int(os.environ.get("REMAP_FUZZ", "2000"))
SLOWEST = 5.0
MEMORY = 250_000
"""Kilobytes that reading any of these files of some kilobytes may take at the peak."""


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 2)
        self.bn = torch.nn.BatchNorm2d(2)

    def forward(self, x):
        return self.bn(self.conv(x))


STATE = {"a.weight": torch.arange(6.0).reshape(2, 3).t(), "a.bias": torch.ones(2).bfloat16(), "n": torch.tensor(3)}
WRAPPED = {
    "state_dict": STATE,
    "epoch": 3,
    "optimizer": {"state": {0: {"m": torch.ones(2)}}, "param_groups": [{"lr": 1}]},
}


def _zip(path):
    torch.save(WRAPPED, path)


def _legacy(path):
    torch.save(WRAPPED, path, _use_new_zipfile_serialization=False)


def _module(path):
    torch.save(Net(), path)


def _quantized(path):
    torch.save({"q": torch.quantize_per_channel(torch.ones(2, 3), torch.ones(2), torch.zeros(2), 0, torch.qint8)}, path)


def _pickle(path):
    path.write_bytes(pickle.dumps({"model": {"t": torch.ones(2), "n": np.arange(3.0)}}, 4))


def _tar(path):
    from test_open_pickles import tar_file

    tar_file(path, {"a": torch.randn(2, 3), "b": torch.arange(3)})


def _safetensors(path):
    save_file({name: tensor.contiguous() for name, tensor in STATE.items()}, path)


def _torchscript(path):
    torch.jit.save(torch.jit.script(Net()), path)


def _export(path):
    torch.export.save(torch.export.export(Net().eval(), (torch.ones(1, 1, 3, 3),)), path)


def _npz(path):
    np.savez(path.with_suffix(".npz"), a=np.arange(6.0).reshape(2, 3), b=np.arange(3))
    path.with_suffix(".npz").rename(path)


def _deflated(path):
    np.savez_compressed(path.with_suffix(".npz"), a=np.arange(60.0).reshape(2, 30), b=np.arange(3))
    path.with_suffix(".npz").rename(path)


def _flax(path):
    path.write_bytes(FLAX_FILE.read_bytes())


def _index(path):
    torch.save(STATE, path.parent / "x.bin")
    path.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(STATE, "x.bin")}))


def _metadata(path):
    dcp.save({"model": STATE, "epoch": 3}, checkpoint_id=path.parent / "d")
    return path.parent / "d" / ".metadata"


def _distcp(path):
    """One of the data files."""
    _metadata(path)
    return next((path.parent / "d").glob("*.distcp"))


def _weights_h5(path, **packing):
    with h5py.File(path, "w") as file:
        file.create_group("vars")
        for number, shape in enumerate([(3, 4), (4,), (20, 5)]):
            data = np.arange(np.prod(shape), dtype="f4").reshape(shape)
            file.create_dataset(f"layers/dense_{number}/vars/0", data=data, **packing)


def _packed_h5(path):
    _weights_h5(path, compression="gzip", shuffle=True, fletcher32=True, chunks=True)


def _legacy_h5(path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"a", b"b"])
        file.attrs["keras_version"] = "2.15.0"
        for layer in "ab":
            file.create_group(layer).attrs["weight_names"] = np.array([f"{layer}/kernel:0".encode()])
            file.create_dataset(f"{layer}/{layer}/kernel:0", data=np.ones((3, 4), "f4"))


def _keras(path, method=zipfile.ZIP_STORED):
    _weights_h5(path.parent / "inner")
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("config.json", "{}")
        archive.write(path.parent / "inner", "model.weights.h5")


def _keras_deflated(path):
    _keras(path, zipfile.ZIP_DEFLATED)


def _weights_json(path):
    _weights_h5(path.parent / "w_00000.weights.h5")
    found = path.with_name("w.weights.json")
    groups = {f"/layers/dense_{number}/vars": "w_00000.weights.h5" for number in range(3)}
    found.write_text(json.dumps({"metadata": {"total_size": 464}, "weight_map": groups}))
    return found


def _tf_index(path):
    arrays = {f"layer_{number}/kernel": np.full((number + 1, 2), number, "f4") for number in range(40)}
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(array) for array in arrays.values()],
    )
    return path.with_name("sample.index")


def _tf_data(path):
    _tf_index(path)
    return path.with_name("sample.data-00000-of-00001")


MAKERS = {
    "zip": _zip,
    "legacy": _legacy,
    "module": _module,
    "quantized": _quantized,
    "pickle": _pickle,
    "tar": _tar,
    "safetensors": _safetensors,
    "torchscript": _torchscript,
    "export": _export,
    "npz": _npz,
    "deflated": _deflated,
    "flax": _flax,
    "index": _index,
    "metadata": _metadata,
    "distcp": _distcp,
    "weights_h5": _weights_h5,
    "packed_h5": _packed_h5,
    "legacy_h5": _legacy_h5,
    "keras": _keras,
    "keras_deflated": _keras_deflated,
    "weights_json": _weights_json,
    "tf_index": _tf_index,
    "tf_data": _tf_data,
}


@pytest.fixture(params=MAKERS)
def saved(request, tmp_path):
    """The file that will be damaged and what to open; a small sample of one format."""
    path = tmp_path / "sample"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = MAKERS[request.param](path) or path
    return found, tmp_path / "d" if found.parent.name == "d" else found


def rewrite(path: Path, data: bytes) -> None:
    """Change a file in place: disks are told at once of one that is emptied first, which takes them a while."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def survive(target: Path) -> None:
    """Open it and read all: that may fail, but only as it should, and soon."""
    start = time.process_time()
    try:
        found = open_weights(target, dequantize=True)
        for tensor in found.values():
            assert tensor.array().shape == tensor.shape
    except RemapError as error:
        assert str(error)
    assert time.process_time() - start < SLOWEST


@pytest.fixture
def memory():
    """What reading took at the peak is held against the limit."""
    status, peak = Path("/proc/self/status"), "VmHWM:"
    Path("/proc/self/clear_refs").write_text("5")  # begin the peak anew
    before = _kilobytes(status, "VmRSS:")
    yield
    assert _kilobytes(status, peak) - before < MEMORY


def _kilobytes(status: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))


def test_sample_itself_is_sound(saved):
    assert len(open_weights(saved[1], dequantize=True)) > 0


def test_cut_off(saved, memory):
    path, target = saved
    whole = path.read_bytes()
    step = max(1, len(whole) // 1500)
    for length in (*range(0, len(whole), step), *range(max(0, len(whole) - 100), len(whole))):
        rewrite(path, whole[:length])
        survive(target)


def test_bytes_changed(saved, memory):
    path, target = saved
    whole = path.read_bytes()
    chance = random.Random(0)
    for _ in range(MUTATIONS):
        rewrite(path, mutated(whole, chance))
        survive(target)


def mutated(whole: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, or a run of them left out, repeated or overwritten by an extreme number."""
    data = bytearray(whole)
    kind = chance.randrange(4)
    at = chance.randrange(len(data))
    if kind == 0:
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 1:
        del data[at : at + chance.randint(1, 16)]
    elif kind == 2:
        data[at:at] = data[at : at + chance.randint(1, 64)]
    else:
        extreme = chance.choice([b"\xff" * 4, b"\xff" * 8, b"\0" * 4, b"\x7f" + b"\xff" * 7, b"\0\0\0\x80"])
        data[at : at + len(extreme)] = extreme
    return bytes(data)


def test_inner_pickle_of_a_zip_changed(tmp_path, memory):
    """Changes inside of the pickle alone: those that hit an archive at random mostly break the archive."""
    stream = io.BytesIO()
    torch.save(WRAPPED, stream)
    with zipfile.ZipFile(stream) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    body = next(name for name in parts if name.endswith("data.pkl"))
    chance = random.Random(1)
    path = tmp_path / "a.pt"
    path.touch()
    for _ in range(MUTATIONS):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as made:
            for name, data in parts.items():
                made.writestr(name, mutated(data, chance) if name == body else data)
        rewrite(path, stream.getvalue())
        survive(path)
