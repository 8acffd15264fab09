from __future__ import annotations

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from remap.errors import CheckpointError
from remap.opening.open import open_checkpoint


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(first, last, shape=None, dtype="F32"):
    return {"dtype": dtype, "shape": [(last - first) // 4] if shape is None else shape, "data_offsets": [first, last]}


def test_every_dtype(tmp_path, every_dtype, same):
    state = {name: tensor for name, tensor in every_dtype.items() if name != "complex128"}
    save_file(state, tmp_path / "a.bin", metadata={"format": "pt"})
    found = open_checkpoint(tmp_path / "a.bin")
    assert found.format == "safetensors"
    truth = load_file(tmp_path / "a.bin")
    same(found, {name: truth[name] for name in found})
    assert set(found) == set(state)


def test_empty_and_scalar(tmp_path, same):
    state = {"e": torch.empty(0, 4), "s": torch.tensor(1.5)}
    save_file(state, tmp_path / "a.safetensors")
    found = open_checkpoint(tmp_path / "a.safetensors")
    same(found, {name: state[name] for name in found})


@pytest.mark.parametrize(
    ("header", "data", "says"),
    [
        ({"a": entry(0, 8), "b": entry(4, 12)}, 12, "overlap"),
        ({"a": entry(0, 8), "b": entry(12, 16)}, 16, "belong to no tensor"),
        ({"a": entry(0, 8)}, 12, "behind the last"),
        ({"a": entry(0, 16)}, 8, "outside of the file"),
        ({"a": entry(0, 1 << 62)}, 8, "outside of the file"),
        ({"a": entry(8, 0, [0])}, 8, "outside of the file"),
        ({"a": entry(0, 8, [3])}, 8, "shape does not fit"),
        ({"a": entry(0, 8, [1 << 40, 1 << 40])}, 8, "shape does not fit"),
        ({"a": entry(0, 8, [-2])}, 8, "damaged safetensors entry"),
        ({"a": entry(0, 8, [2.0])}, 8, "damaged safetensors entry"),
        ({"a": {"dtype": "F32"}}, 8, "damaged safetensors entry"),
        ({"a": 3}, 8, "damaged safetensors entry"),
        (b'{"a": ', 8, "damaged safetensors header"),
        (b"{" * 100000, 8, "damaged safetensors header"),
        (b'{"a":%(e)b,"a":%(e)b}' % {b"e": json.dumps(entry(0, 4)).encode()}, 4, "'a' occurs twice"),
        (b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1, "'dtype' occurs twice"),
        ({"__metadata__": {"format": "pt"}}, 0, "no tensors"),
    ],
)
def test_lying_header(tmp_path, header, data, says):
    with pytest.raises(CheckpointError, match=says):
        open_checkpoint(write(tmp_path / "a.safetensors", header, bytes(data)))


@pytest.mark.parametrize("length", [100, 99_999_999, 1 << 39])
def test_header_longer_than_file(tmp_path, length):
    with pytest.raises(CheckpointError, match="header is longer"):
        open_checkpoint(write(tmp_path / "a.safetensors", {"a": entry(0, 4)}, bytes(4), length))


def test_unknown_type_is_listed(tmp_path):
    header = {"a": entry(0, 4), "b": entry(4, 8, [8], "F4")}
    found = open_checkpoint(write(tmp_path / "a.safetensors", header, bytes(8)))
    assert list(found) == ["a"]
    assert [(skipped.name, "F4" in skipped.reason) for skipped in found.skipped] == [("b", True)]


def test_truncation_anywhere(tmp_path):
    save_file({"a": torch.randn(3), "b": torch.randn(2, 2)}, tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "b.safetensors").write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            open_checkpoint(tmp_path / "b.safetensors")
