"""The audit compares what is computed: what only looks different is no disagreement, and what differs shows."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from torch import nn
from verify_networks import randomise, rules_text

import remap

WIDE = '[layouts.mine]\nkernel = { from = "weight", axes = "o i w -> w 1 i o" }\nbias = "bias"\n'


class Conv2DSomething(layers.Layer):
    """A layer that is called like a convolution, and is none."""

    def __init__(self, kernel_size=3, strides=1, padding="same", **kwargs):
        super().__init__(**kwargs)
        self.kernel_size, self.strides, self.padding = kernel_size, strides, padding

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 3, 3, 4), name="kernel")

    def call(self, x):
        return keras.ops.conv(x, self.kernel, strides=2, padding="valid")


def images(*layer, size=16):
    return lambda: keras.Sequential([keras.Input((size, size, 3)), *(make() for make in layer)])


def conv(*args, **kwargs):
    return lambda: layers.Conv2D(*args, **kwargs, name="conv")


def norm(epsilon):
    return lambda: layers.LayerNormalization(epsilon=epsilon, name="conv")


CONV = {"0": ("conv", "conv2d")}
CASES = {
    "a patch embedding that pads nothing": (nn.Conv2d(3, 4, 4, 4), images(conv(4, 4, 4, "same")), CONV, set()),
    "at an open size it may pad": (
        nn.Conv2d(3, 4, 4, 4),
        images(conv(4, 4, 4, "same"), size=None),
        CONV,
        {("padding", "0", "same at stride 4")},
    ),
    "a size that leaves something over": (
        nn.Conv2d(3, 4, 4, 4),
        images(conv(4, 4, 4, "same"), size=18),
        CONV,
        {("padding", "0", "same at stride 4")},
    ),
    "a kernel of one": (nn.Conv2d(3, 4, 1, 2), images(conv(4, 1, 2, "same")), CONV, set()),
    "padding that is the same at an odd size": (
        nn.Conv2d(3, 4, 3, 2, 1),
        images(conv(4, 3, 2, "same"), size=17),
        CONV,
        set(),
    ),
    "padding that is not at an even one": (
        nn.Conv2d(3, 4, 3, 2, 1),
        images(conv(4, 3, 2, "same")),
        CONV,
        {("padding", "1 symmetric", "same at stride 2")},
    ),
    "one axis written as two": (
        nn.Conv1d(3, 4, 8, 4),
        lambda: keras.Sequential([keras.Input((16, 1, 3)), conv(4, (8, 1), (4, 1))()]),
        {"0": ("conv", "mine")},
        set(),
    ),
    "another stride there": (
        nn.Conv1d(3, 4, 8, 4),
        lambda: keras.Sequential([keras.Input((16, 1, 3)), conv(4, (8, 1), (2, 1))()]),
        {"0": ("conv", "mine")},
        {("strides", "4", "(2, 1)")},
    ),
    "a layer that is called like a convolution": (
        nn.Conv2d(3, 4, 3, 2, bias=False),
        images(lambda: Conv2DSomething(name="conv")),
        {"0": ("conv", "conv2d")},
        set(),
    ),
    "an epsilon in single precision": (
        nn.LayerNorm(3, eps=float(np.float32(1e-3))),
        images(norm(1e-3)),
        {"0": ("conv", "layer_normalization")},
        set(),
    ),
    "epsilons that differ behind the sixth digit": (
        nn.LayerNorm(3, eps=0.00100000321),
        images(norm(1e-3)),
        {"0": ("conv", "layer_normalization")},
        {("epsilon", "0.001000003", "0.001")},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_told(name, saved, tmp_path):
    module, build, rules, expected = CASES[name]
    network = randomise(nn.Sequential(module))
    extra = WIDE if ("conv", "mine") in rules.values() else ""
    (tmp_path / "rules.toml").write_text(rules_text(rules, extra, ignore=False))
    told = remap.verify(tmp_path / "rules.toml", saved(network), build, network, static=True).audit
    assert {(entry.setting, entry.torch, entry.keras) for entry in told} == expected


def test_a_run_tells_padding_by_the_size_that_it_had(hold):
    """The model takes any size; at that of the run both pad alike, or not."""
    build = images(conv(4, 3, 2, "same"), size=None)
    network = randomise(nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1)))
    rules = rules_text(CONV, ignore=False)
    for size, expected in ((17, []), (16, ["padding"])):
        result = hold(network, build, rules, inputs=[f"float32[1,3,{size},{size}]"])
        assert [entry.setting for entry in result.audit] == expected
        assert result.verdict == ("differ" if expected else "equal")


def test_an_option_that_there_is_not_is_refused():
    with pytest.raises(TypeError, match="odd_sizes"):
        remap.verify("resnet", "resnet.pt", "keras.applications:ResNet50", "net.py:build", odd_sizes=True)
