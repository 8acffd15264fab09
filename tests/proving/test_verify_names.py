"""Networks whose tensors have other names than the checkpoint's: prefixes that rules tell, and builders that load."""

from __future__ import annotations

import keras
import pytest
import torch
from keras import layers
from safetensors.torch import save_file
from torch import nn
from verify_networks import randomise, rules_text

import remap
from remap.errors import CheckpointError

INPUT = "float32[2,4]"
NAMES = {"a": ("one", "dense"), "b": ("two", "dense"), "c": ("three", "dense")}
PREFIXED = 'format = 1\n[source]\nstrip = ["student\\\\."]\n' + rules_text(NAMES, ignore=False).replace(
    "format = 1\n", ""
)


class Net(nn.Module):
    """Three layers of one shape; the biases of two are zeros, as those that were never trained."""

    def __init__(self, names="abc"):
        super().__init__()
        self.names = names
        for name in names:
            setattr(self, name, nn.Linear(4, 4))

    def forward(self, x):
        first, second, third = (getattr(self, name) for name in self.names)
        return third(torch.tanh(second(torch.tanh(first(x)))))


def network():
    made = randomise(Net())
    with torch.no_grad():
        made.b.bias.zero_()
        made.c.bias.zero_()
    return made


def under_other_names(swapped=False):
    """What a builder makes that has loaded the weights: the same tensors, called otherwise."""
    made, other = network(), Net(("z", "y", "x")).eval()
    pairs = zip("abc", "zxy" if swapped else "zyx", strict=True)
    other.load_state_dict(
        {
            f"{theirs}.{kind}": made.state_dict()[f"{ours}.{kind}"]
            for ours, theirs in pairs
            for kind in ("weight", "bias")
        }
    )
    return other


def build(names=("one", "two", "three"), last="linear"):
    x = y = keras.Input((4,))
    for name in names:
        y = layers.Dense(4, "tanh" if name != "three" else last, name=name)(y)
    return keras.Model(x, y)


def test_modules_are_paired_by_what_they_hold(hold, saved):
    path = saved(network())
    verified = hold(under_other_names(), build, rules_text(NAMES, ignore=False), path)
    assert verified.verdict == "equal"
    assert [(row.layer, row.module) for row in verified.rows] == [("one", "a"), ("two", "b"), ("three", "c")]
    crossed = hold(under_other_names(swapped=True), build, rules_text(NAMES, ignore=False), path)
    assert crossed.verdict == "differ"


def test_other_weights_are_no_names(hold, saved):
    other = under_other_names()
    with torch.no_grad():
        other.y.weight[0, 0] += 1
    with pytest.raises(CheckpointError, match="lacks a tensor of the PyTorch model"):
        hold(other, build, rules_text(NAMES, ignore=False), saved(network()))


def test_a_recording_is_made_by_the_names_of_the_rules(tmp_path, remap_command):
    checkpoint, rules, out = tmp_path / "net.safetensors", tmp_path / "rules.toml", tmp_path / "ref.safetensors"
    save_file({f"student.{name}": tensor.clone() for name, tensor in network().state_dict().items()}, checkpoint)
    rules.write_text(PREFIXED)
    reference = remap.record(Net().eval(), checkpoint, out, [INPUT], rules=rules)
    assert {"a", "b", "c"} <= set(reference.modules)
    verified = remap.verify(rules, checkpoint, build, str(out))
    assert verified.verdict == "equal"
    assert [row.module for row in verified.rows] == ["a", "b", "c"]
    ran = remap_command("record", "none.py:build", checkpoint, "--rules", "none.toml", "-o", tmp_path / "r.safetensors")
    assert ran.code == 4 and "no such rule file" in ran.err
