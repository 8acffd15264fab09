"""A Keras layer that runs on an empty sample more, behind those of the input, is held against PyTorch by the others."""

from __future__ import annotations

import keras
import pytest
import torch
from torch import nn

CHANNELS = 4
LAYERS = ("tower/conv", "tower/other", "head")
RULES = r"""format = 1
[[rename]]
match = '(?P<name>conv|other)'
to = 'tower/{name}'
layout = "conv2d"
[[rename]]
match = 'head'
to = 'head'
layout = "dense"
"""


class TorchImages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, CHANNELS, 3), nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.head = nn.Linear(CHANNELS, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.conv(images)
        maps = self.other(torch.tanh(maps) + nn.functional.gelu(maps))
        return self.head(maps.mean(dim=(2, 3)))


class Tower(keras.layers.Layer):
    """Runs on a sample of zeros too, which it drops again or keeps."""

    def __init__(self, activation: str, drops: bool = True) -> None:
        super().__init__(name="tower")
        self.conv = keras.layers.Conv2D(CHANNELS, 3, name="conv")
        self.tanh = keras.layers.Activation("tanh", name="tanh")
        self.activation = keras.layers.Activation(activation, name="activation")
        self.add = keras.layers.Add(name="add")
        self.other = keras.layers.Conv2D(CHANNELS, 1, name="other")
        self.drops = drops

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.conv.build(shape)
        self.other.build(self.conv.compute_output_shape(shape))

    def call(self, images):
        more = keras.ops.concatenate([images, keras.ops.zeros_like(images[:1])])
        maps = self.conv(more)
        maps = self.other(self.add([self.tanh(maps), self.activation(maps)]))
        found = keras.ops.mean(maps, axis=(1, 2))
        return found[:-1] if self.drops else found


def keras_images(activation: str = "gelu", drops: bool = True) -> keras.Model:
    images = keras.Input((8, 8, 3), name="images")
    found = Tower(activation, drops)(images)
    return keras.Model(images, keras.layers.Dense(5, name="head")(found))


@pytest.fixture
def held(hold):
    def run(samples, **settings):
        torch.manual_seed(0)
        return hold(TorchImages(), lambda: keras_images(**settings), RULES, inputs=[f"float32[{samples},3,8,8]"])

    return run


@pytest.mark.parametrize("samples", [1, 2])
def test_no_alarm_where_the_sample_is_dropped_again(held, samples):
    found = held(samples)
    assert found.verdict == "equal", found.finding
    assert {row.layer: row.outcome for row in found.rows} == dict.fromkeys(LAYERS, "equal")


@pytest.mark.parametrize("samples", [1, 2])
def test_a_fault_on_the_way_is_found(held, samples):
    found = held(samples, activation="relu")
    assert found.verdict == "differ"
    assert (found.finding.layer, found.finding.cause, found.finding.proved) == ("tower/activation", "activation", True)
    assert found.further == ()
    assert [row.alone for row in found.rows] == ["equal", "differs", "equal"]


def test_a_sample_that_comes_out_is_a_difference(held):
    found = held(2, drops=False)
    assert found.verdict == "differ"
    (output,) = found.outputs
    assert output.shapes == ((2, 5), (3, 5))
