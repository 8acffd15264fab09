"""A layer of other axes than its module, as (k, 1) against (k,): a fault there is found, and nothing crashes."""

from __future__ import annotations

from itertools import product

import keras
import pytest
from keras import layers
from torch import nn
from verify_networks import randomise, rules_text

from remap.proving.inputs import InputSpec

SIZES = (9, 1, 1)
"""Sizes of a map of three axes; one of fewer has the first of them."""
AXES = "hwd"
TORCH = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
KERAS = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
TORCH_POOL = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
KERAS_POOL = {1: layers.MaxPooling1D, 2: layers.MaxPooling2D, 3: layers.MaxPooling3D}
TORCH_UP = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
PAIRS = list(product((1, 2, 3), (1, 2, 3)))


def along(value, rank, other):
    """A setting along the axis that every rank has; another one along those of one number."""
    return (value, *(other,) * (rank - 1))


class Net(nn.Module):
    """A layer of some rank, and a linear layer over what it gives."""

    def __init__(self, rank, layer, pool=False):
        super().__init__()
        self.rank = rank
        self.conv, self.pool = (TORCH[rank](3, 4, 1), layer) if pool else (layer, nn.Identity())
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        y = self.pool(self.conv(x.reshape(*x.shape[:2], *SIZES[: self.rank])))
        return self.head(y.flatten(2).mean(-1))


def keras_net(rank, layer, pool=False):
    x = keras.Input((*SIZES[:rank], 3))
    y = layer(KERAS[rank](4, 1, name="conv")(x)) if pool else layer(x)
    y = layers.Reshape((-1, 4), name="flat")(y)
    return keras.Model(x, layers.Dense(5, name="head")(layers.GlobalAveragePooling1D(name="mean")(y)))


def layout(theirs, ours, outputs_first=True):
    """A kernel of one rank as one of the other."""
    source = [AXES[axis] if axis < ours else "1" for axis in range(theirs)]
    target = [AXES[axis] if axis < theirs else "1" for axis in range(ours)]
    first, last = ("o i", "i o") if outputs_first else ("i o", "o i")
    axes = f"{first} {' '.join(source)} -> {' '.join(target)} {last}"
    return f'[layouts.mine]\nkernel = {{ from = "weight", axes = "{axes}" }}\nbias = "bias"\n'


def rules(theirs, ours, outputs_first=True):
    moved = {"conv": ("conv", "mine"), "head": ("head", "dense")}
    return rules_text(moved, layout(theirs, ours, outputs_first), ignore=False)


def inputs(theirs, ours):
    """The same numbers for both, each in its own rank."""
    return [InputSpec("", (2, 3, *SIZES[:ours]))]


def finding(hold, theirs, ours, torch, build, outputs_first=True):
    found = hold(randomise(torch), build, rules(theirs, ours, outputs_first), inputs=inputs(theirs, ours))
    assert found.verdict == "differ"
    assert found.weights.equal
    return found.finding


@pytest.mark.parametrize(("theirs", "ours"), PAIRS)
def test_padding_of_a_convolution(theirs, ours, hold):
    torch = Net(theirs, TORCH[theirs](3, 4, along(3, theirs, 1), padding=along(1, theirs, 0)))
    found = finding(hold, theirs, ours, torch, lambda: keras_net(ours, KERAS[ours](4, along(3, ours, 1), name="conv")))
    assert (found.layer, found.cause, found.code, found.proved) == ("conv", "padding", "V101", True), found.text


@pytest.mark.parametrize(("theirs", "ours"), PAIRS)
def test_padding_of_a_pooling(theirs, ours, hold):
    layer = TORCH_POOL[theirs](along(3, theirs, 1), 1, along(1, theirs, 0))
    pool = KERAS_POOL[ours](along(3, ours, 1), 1, name="pool")
    found = finding(hold, theirs, ours, Net(theirs, layer, pool=True), lambda: keras_net(ours, pool, pool=True))
    assert (found.layer, found.cause, found.code, found.proved) == ("pool", "padding", "V101", True), found.text


@pytest.mark.parametrize(("theirs", "ours"), PAIRS)
def test_padding_of_a_transposed_convolution(theirs, ours, hold):
    layer = TORCH_UP[theirs](3, 4, along(3, theirs, 1), padding=along(1, theirs, 0))
    kinds = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
    found = finding(
        hold,
        theirs,
        ours,
        Net(theirs, layer),
        lambda: keras_net(ours, kinds[ours](4, along(3, ours, 1), name="conv")),
        outputs_first=False,
    )
    assert (found.layer, found.cause, found.code, found.proved) == ("conv", "padding", "V101", True), found.text


def test_axes_that_cannot_be_told_end_nothing(hold):
    """Keras merges both axes, so that no padding of one is the other's: the layer is named, and no cause is proved."""

    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, (3, 1), padding=(1, 0)), nn.Linear(4, 5)

        def forward(self, x):
            return self.head(self.conv(x.unflatten(2, (5, 4))).flatten(2).mean(-1))

    def build():
        x = keras.Input((20, 3))
        y = layers.GlobalAveragePooling1D(name="mean")(layers.Conv1D(4, 3, name="conv")(x))
        return keras.Model(x, layers.Dense(5, name="head")(y))

    found = hold(randomise(Rows()), build, rules(2, 1), inputs=[InputSpec("", (2, 3, 20))]).finding
    assert (found.layer, found.proved) == ("conv", False), found.text
    assert found.tried and not found.failed
