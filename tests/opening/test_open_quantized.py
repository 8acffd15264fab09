"""Quantised tensors: skipped and named, or dequantised as torch does it where that is asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from remap.opening.open import Dequantized, open_checkpoint

RULES = """format = 1
[[rename]]
match = '(?P<name>\\w+)\\.weight'
to = '{name}/kernel'
axes = 'o i -> i o'
"""


@pytest.fixture
def quantized(tmp_path):
    torch.manual_seed(0)
    value = torch.randn(40, 6)
    state = {
        "tensor.weight": torch.quantize_per_tensor(value, 0.05, 3, torch.quint8),
        "channel.weight": torch.quantize_per_channel(value, torch.rand(6) + 0.01, torch.arange(6), 1, torch.qint8),
        "transposed.weight": torch.quantize_per_tensor(value.t(), 0.1, 0, torch.qint8),
        "plain.weight": torch.randn(3, 2),
    }
    torch.save(state, tmp_path / "q.pt")
    (tmp_path / "rules.toml").write_text(RULES)
    return tmp_path, {name: t.dequantize() if t.is_quantized else t for name, t in state.items()}


def equal(found, tensor):
    """As torch's kernels, which may fuse a multiplication and an addition, to the last bit of float32."""
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, tensor.numpy(), rtol=2e-7, atol=1e-8)


def test_apply(quantized, remap_command):
    folder, state = quantized
    out = folder / "w.safetensors"
    ran = remap_command("apply", folder / "rules.toml", folder / "q.pt", "-o", out, "--dequantize")
    assert ran.code == 0, ran.err
    written = load_file(out)
    assert len(written) == len(state)
    for name, tensor in state.items():
        equal(written[name.replace(".weight", "/kernel")], tensor.t())
    held = remap_command("diff", folder / "q.pt", out, "--rules", folder / "rules.toml", "--dequantize", "--json")
    assert held.code == 0, held.out
    assert len(json.loads(held.out)["entries"]) == len(state)


def test_inspect(quantized, remap_command):
    folder, state = quantized
    shown = json.loads(remap_command("inspect", folder / "q.pt", "--json").out)
    assert [tensor["name"] for tensor in shown["tensors"]] == ["plain.weight"]
    assert {skipped["name"] for skipped in shown["skipped"]} == state.keys() - {"plain.weight"}
    assert all("--dequantize" in skipped["reason"] for skipped in shown["skipped"])
    shown = json.loads(remap_command("inspect", folder / "q.pt", "--json", "--dequantize").out)
    assert {tensor["name"]: tuple(tensor["shape"]) for tensor in shown["tensors"]} == {
        name: tuple(tensor.shape) for name, tensor in state.items()
    }
    assert {tensor["dtype"] for tensor in shown["tensors"]} == {"float32"}


@pytest.mark.parametrize("command", ["apply", "explain", "lint", "inspect"])
def test_refused_unasked(command, quantized, remap_command):
    folder, _ = quantized
    torch.save({"w.weight": torch.quantize_per_tensor(torch.ones(3, 2), 0.05, 3, torch.quint8)}, folder / "only.pt")
    rules = [] if command == "inspect" else [folder / "rules.toml"]
    name = ["w.weight"] if command == "explain" else []
    ran = remap_command(command, *rules, folder / "only.pt", *name)
    assert ran.code == 3
    assert "no tensors in the checkpoint" in ran.err
    assert "--dequantize" in ran.err
    assert remap_command(command, *rules, folder / "only.pt", *name, "--dequantize").code == 0


def test_told_where_rules_miss_them(quantized, remap_command):
    folder, _ = quantized
    (folder / "one.toml").write_text(RULES.replace("(?P<name>\\w+)", "(?P<name>tensor)"))
    ran = remap_command("apply", folder / "one.toml", folder / "q.pt", "-o", folder / "w.npz")
    assert ran.code == 6
    assert "quantised tensors of the checkpoint were left out" in ran.err
    assert "--dequantize" in ran.err


def test_in_python(quantized):
    folder, state = quantized
    for found in (open_checkpoint(folder / "q.pt", dequantize=True), open_checkpoint(Dequantized(folder / "q.pt"))):
        assert list(found) == list(state)
        for name, tensor in state.items():
            equal(found[name].array(), tensor)


NETWORKS = """
def torch_network():
    import torch
    return torch.nn.Sequential(torch.nn.Linear(6, 40, bias=False))

def keras_model():
    import keras
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(40, use_bias=False, name="dense")])
"""


def test_proved_in_a_model(tmp_path, remap_command):
    torch.manual_seed(0)
    (tmp_path / "networks.py").write_text(NETWORKS)
    rules, checkpoint = tmp_path / "rules.toml", tmp_path / "q.pt"
    rules.write_text("format = 1\n[[rename]]\nmatch = '0'\nto = 'dense'\nlayout = 'dense'\n")
    torch.save({"0.weight": torch.quantize_per_tensor(torch.randn(40, 6), 0.05, 3, torch.qint8)}, checkpoint)
    model, network = f"{tmp_path}/networks.py:keras_model", f"{tmp_path}/networks.py:torch_network"
    out = tmp_path / "w.weights.h5"
    for command in (
        ("apply", rules, checkpoint, "--model", model, "-o", out),
        ("check", out, "--model", model, "--rules", rules, "--checkpoint", checkpoint),
        ("verify", rules, checkpoint, "--model", model, "--torch", network),
        ("record", network, checkpoint, "--input", "float32[2,6]", "-o", tmp_path / "r.safetensors"),
    ):
        refused = remap_command(*command)
        assert refused.code == 3, command
        assert "--dequantize" in refused.err
        ran = remap_command(*command, "--dequantize")
        assert ran.code == 0, ran.err
