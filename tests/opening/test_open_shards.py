from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from remap.errors import CheckpointError
from remap.opening.open import open_checkpoint

FIRST = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}
SECOND = {"b.weight": torch.arange(4).reshape(2, 2)}


@pytest.fixture(params=["safetensors", "bin"])
def index(tmp_path, request):
    """A folder of two shards of either kind and their index."""
    stem, save = ("model", save_file) if request.param == "safetensors" else ("pytorch_model", torch.save)
    names = [f"{stem}-0000{i}-of-00002.{request.param}" for i in (1, 2)]
    for name, state in zip(names, (FIRST, SECOND), strict=True):
        save(state, tmp_path / name)
    weights = {**dict.fromkeys(FIRST, names[0]), **dict.fromkeys(SECOND, names[1])}
    path = tmp_path / f"{stem}.{request.param}.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weights}))
    return path


def change(index, edit):
    content = json.loads(index.read_text())
    edit(content["weight_map"])
    index.write_text(json.dumps(content))


def test_index_and_folder(index, same):
    found = open_checkpoint(index)
    same(found, {name: {**FIRST, **SECOND}[name] for name in found})
    assert set(found) == {*FIRST, *SECOND}
    assert found.format.startswith("sharded ")
    assert list(open_checkpoint(index.parent)) == list(found)


def test_missing_shard_is_named(index):
    shard = json.loads(index.read_text())["weight_map"]["b.weight"]
    (index.parent / shard).unlink()
    with pytest.raises(CheckpointError, match=f"shard is missing(.|\n)*{shard}"):
        open_checkpoint(index)


def test_both_differences_are_reported(index):
    def edit(weights):
        weights["ghost"] = weights["a.bias"]
        del weights["b.weight"]
        weights["c.weight"] = weights["a.bias"]

    change(index, edit)
    with pytest.raises(CheckpointError, match=r"does not hold \(2 times\)(.|\n)*c.weight(.|\n)*ghost"):
        open_checkpoint(index)


def test_tensor_that_the_index_forgot(index):
    change(index, lambda weights: weights.pop("a.bias"))
    with pytest.raises(CheckpointError, match=r"does not name(.|\n)*'a.bias'"):
        open_checkpoint(index)


@pytest.mark.parametrize("shard", ["../secret.bin", "/etc/passwd", "a/../../x", "", "..", "a\0b", "..\\x"])
def test_path_outside(index, shard):
    change(index, lambda weights: weights.update({"a.bias": shard}))
    with pytest.raises(CheckpointError, match="outside of its folder"):
        open_checkpoint(index)


def test_link_outside(index, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x.bin"
    torch.save(FIRST, elsewhere)
    (index.parent / "link.bin").symlink_to(elsewhere)
    change(index, lambda weights: weights.update(dict.fromkeys(FIRST, "link.bin")))
    with pytest.raises(CheckpointError, match=r"outside of its folder(.|\n)*is a link"):
        open_checkpoint(index)


def test_links_of_a_hub_cache(index, tmp_path_factory, same):
    cache = tmp_path_factory.mktemp("models--x")
    (cache / "blobs").mkdir()
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(index.parent.iterdir())):
        (cache / "blobs" / str(number)).write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    assert set(open_checkpoint(snapshot)) == {*FIRST, *SECOND}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3}}', "[" * 100000])
def test_damaged_index(tmp_path, text):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match="index"):
        open_checkpoint(path)


def test_folder_with_one_file(tmp_path, same):
    torch.save(FIRST, tmp_path / "weights.pth")
    (tmp_path / "config.json").write_text("{}")
    same(open_checkpoint(tmp_path), FIRST)


def test_folder_with_nothing_or_too_much(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint in the folder"):
        open_checkpoint(tmp_path)
    torch.save(FIRST, tmp_path / "best.pth")
    torch.save(SECOND, tmp_path / "last.pth")
    with pytest.raises(CheckpointError, match=r"several(.|\n)*best.pth, last.pth"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"", "an empty file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "HDF5"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!doctype html>", "web page"),
        (b"\x93 whatever it is", "starts with"),
    ],
)
def test_other_files(tmp_path, head, says):
    (tmp_path / "a.pt").write_bytes(head)
    with pytest.raises(CheckpointError, match=says):
        open_checkpoint(tmp_path / "a.pt")


def test_no_such_file(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        open_checkpoint(tmp_path / "none.pt")
