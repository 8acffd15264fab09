"""Folders: distributed checkpoints, DeepSpeed, numbered shards; and numpy archives."""

from __future__ import annotations

import os
import pickle
from importlib import import_module

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex

from remap.errors import CheckpointError
from remap.opening.open import open_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {"conv.weight": torch.randn(4, 3), "conv.bias": torch.randn(4).bfloat16(), "steps": torch.tensor(3)}


def test_distributed(tmp_path, state, same):
    dcp.save({"model": state, "epoch": 3}, checkpoint_id=tmp_path / "d")
    found = open_checkpoint(tmp_path / "d")
    same(found, {name: state[name] for name in found})
    assert set(found) == set(state)
    assert found.peeled == ("['model']",)
    assert [skipped.name for skipped in found.skipped] == ["epoch"]


def test_distributed_flat(tmp_path, state):
    dcp.save(state, checkpoint_id=tmp_path / "d")
    assert set(open_checkpoint(tmp_path / "d")) == set(state)


def cut(folder, name, boxes, whole, dense=True):
    """Rewrite a saved tensor as chunks, each in a file of its own, as ranks that hold parts of it write it."""
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    del metadata.storage_data[next(index for index in metadata.storage_data if index.fqn == name)]
    info = metadata.state_dict_metadata[name]
    example = next(iter(metadata.storage_data.values()))
    info.chunks = []
    for rank, (rows, columns) in enumerate(boxes):
        part = whole[rows, columns].clone() if dense else whole[rows, columns]
        file = folder / f"__{rank}_1.distcp"
        file.write_bytes(b"junk")
        with file.open("ab") as stream:
            torch.save(part, stream)
        offsets = torch.Size([rows.start, columns.start])
        info.chunks.append(ChunkStorageMetadata(offsets, part.shape))
        place = type(example)(file.name, 4, file.stat().st_size - 4)
        metadata.storage_data[MetadataIndex(name, offsets, rank)] = place
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


BOXES = [(slice(0, 1), slice(0, 3)), (slice(1, 4), slice(0, 2)), (slice(1, 4), slice(2, 3))]


def test_distributed_in_chunks(tmp_path, state, same):
    dcp.save(state, checkpoint_id=tmp_path / "d")
    cut(tmp_path / "d", "conv.weight", BOXES, state["conv.weight"])
    loaded = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    dcp.load(loaded, checkpoint_id=tmp_path / "d")
    assert torch.equal(loaded["conv.weight"], state["conv.weight"])
    found = open_checkpoint(tmp_path / "d")
    same(found, {name: loaded[name] for name in found})


@pytest.mark.parametrize("boxes", [BOXES[:2], [*BOXES[:2], BOXES[0]], [*BOXES[:2], (slice(0, 3), slice(2, 3))]])
def test_distributed_with_gaps_or_overlaps(tmp_path, state, boxes):
    dcp.save(state, checkpoint_id=tmp_path / "d")
    cut(tmp_path / "d", "conv.weight", boxes, state["conv.weight"])
    with pytest.raises(CheckpointError, match=r"conv.weight.*(make up|overlap)"):
        open_checkpoint(tmp_path / "d")


def test_distributed_file_missing(tmp_path, state):
    dcp.save(state, checkpoint_id=tmp_path / "d")
    (tmp_path / "d" / "__0_0.distcp").unlink()
    with pytest.raises(CheckpointError, match=r"missing(.|\n)*__0_0.distcp"):
        open_checkpoint(tmp_path / "d")


def test_distributed_path_outside(tmp_path, state):
    dcp.save(state, checkpoint_id=tmp_path / "d")
    (tmp_path / "d" / "__0_0.distcp").rename(tmp_path / "__0_0.distcp")
    metadata = (tmp_path / "d" / ".metadata").read_bytes()
    changed = metadata.replace(b"\x8c\x0c__0_0.distcp", b"\x8c\x0f../__0_0.distcp")
    (tmp_path / "d" / ".metadata").write_bytes(changed)
    assert changed != metadata
    with pytest.raises(CheckpointError, match="outside of its folder"):
        open_checkpoint(tmp_path / "d")


def test_deepspeed(tmp_path, state, same):
    step = tmp_path / "global_step7"
    step.mkdir()
    (tmp_path / "latest").write_text("global_step7\n")
    saved = {"module": state, "ds_config": {}, "ds_version": "0.15", "optimizer": None, "dp_world_size": 2}
    torch.save(saved, step / "mp_rank_00_model_states.pt")
    torch.save({"optimizer_state_dict": {}}, step / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    same(open_checkpoint(tmp_path), state)
    same(open_checkpoint(step), state)


def test_deepspeed_zero_3(tmp_path):
    saved = {"module": {"a.weight": torch.empty(0), "b.running_mean": torch.ones(2)}, "ds_version": "0.15"}
    torch.save(saved, tmp_path / "zero_pp_rank_0_mp_rank_00_model_states.pt")
    with pytest.raises(CheckpointError, match=r"ZeRO-3(.|\n)*a.weight(.|\n)*zero_to_fp32"):
        open_checkpoint(tmp_path)


def test_numbered_shards(tmp_path, state, same):
    names = list(state)
    for number, name in enumerate(names, 1):
        torch.save({name: state[name]}, tmp_path / f"pytorch_model-0000{number}-of-00003.bin")
    same(open_checkpoint(tmp_path), state)
    (tmp_path / "pytorch_model-00002-of-00003.bin").unlink()
    with pytest.raises(CheckpointError, match="2 of 3, without number 2"):
        open_checkpoint(tmp_path)


def test_more_shards_than_open_files(tmp_path, same):
    resource = import_module("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    state = {f"w{i}": torch.full((2,), float(i)) for i in range(200)}
    for number, (name, tensor) in enumerate(state.items(), 1):
        torch.save({name: tensor}, tmp_path / f"x-{number:05}-of-00200.bin")
    with (tmp_path / "probe").open("wb") as probe:
        free = probe.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 50, limits[1]))
    try:
        found = open_checkpoint(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    same(found, state)


def test_numbered_shards_that_share_a_name(tmp_path, state):
    for number in (1, 2):
        torch.save(state, tmp_path / f"x-{number}-of-2.pt")
    with pytest.raises(CheckpointError, match=r"several shards hold one tensor \(3 times\)"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save):
    arrays = {
        "a/b": np.arange(12.0).reshape(3, 4),
        "f": np.asfortranarray(np.arange(24, dtype="i2").reshape(2, 3, 4)),
        "flag": np.array([True, False]),
        "complex": np.array([1 + 2j], "c8"),
        "scalar": np.float32(2.5),
        "empty": np.empty((0, 3)),
        "half": np.array([np.nan, np.inf], "f2"),
        "zeros": np.zeros(1000),
    }
    save(tmp_path / "a.npz", **arrays, text=np.array(["x"]), swapped=np.arange(3, dtype=">f4"))
    found = open_checkpoint(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].array().dtype == array.dtype
        np.testing.assert_array_equal(found[name].array(), array)
        found[name].storage.release()
        np.testing.assert_array_equal(found[name].array(), array)
    assert {skipped.name for skipped in found.skipped} == {"text", "swapped"}


def test_npz_damaged_data_is_noticed_when_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.random.default_rng(0).normal(size=1000))
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[3000] ^= 0x55
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(CheckpointError, match=r"inflated|checksum"):
        open_checkpoint(tmp_path / "a.npz")["a"].array()


def test_folder_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "scandir", lambda path: (_ for _ in ()).throw(PermissionError("no")))
    monkeypatch.setattr(os, "listdir", lambda path: (_ for _ in ()).throw(PermissionError("no")))
    with pytest.raises(CheckpointError, match="cannot read the folder"):
        open_checkpoint(tmp_path)
