"""Layers of another rank on the other side, PReLU below a Dense, a Flatten behind a Permute: equal outputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import layers
from layer_parity import Case, check_equal, randomise, sequential, write_rules
from torch import nn

import remap


def last(x: np.ndarray) -> np.ndarray:
    """Channels last."""
    return np.moveaxis(x, 1, -1)


# layout, PyTorch module, Keras layer, shape of the input, its Keras form, the PyTorch output in Keras's form
RANKS = {
    "conv1d_from_conv2d_tall": (nn.Conv2d(4, 6, (3, 1)), layers.Conv1D(6, 3), (4, 7, 1), lambda x: last(x[..., 0])),
    "conv1d_from_conv2d_wide": (nn.Conv2d(4, 6, (1, 3)), layers.Conv1D(6, 3), (4, 1, 7), lambda x: last(x[:, :, 0])),
    "conv2d_from_conv1d_tall": (nn.Conv1d(4, 6, 3), layers.Conv2D(6, (3, 1)), (4, 7), lambda x: last(x[..., None])),
    "conv2d_from_conv1d_wide": (nn.Conv1d(4, 6, 3), layers.Conv2D(6, (1, 3)), (4, 7), lambda x: last(x[:, :, None])),
    "conv2d_from_conv3d": (
        nn.Conv3d(4, 6, (1, 3, 2)),
        layers.TimeDistributed(layers.Conv2D(6, (3, 2))),
        (4, 5, 6, 7),
        last,
    ),
    "conv3d_from_conv2d": (nn.Conv2d(4, 6, (3, 2)), layers.Conv3D(6, (1, 3, 2)), (4, 6, 7), lambda x: last(x)[:, None]),
    "conv1d_from_linear": (nn.Linear(4, 6), layers.Conv1D(6, 1), (7, 4), lambda x: x),
    "dense_from_conv3d": (nn.Conv3d(4, 6, 1), layers.Dense(6), (4, 2, 3, 5), last),
}


@pytest.mark.parametrize("layout", RANKS)
def test_another_rank_gives_equal_outputs(layout, tmp_path):
    module, layer, shape, form = RANKS[layout]
    randomise(module)
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype("f4")
    model = keras.Sequential([keras.Input(form(x).shape[1:]), layer])
    name = getattr(layer, "layer", layer).name
    rules = write_rules(tmp_path, f"[move.{layout}]\n'' = '{name}'\n")
    assert remap.load_into(model, rules, module.state_dict()).equal
    with torch.no_grad():
        expected = form(module(torch.from_numpy(x)).numpy())
    assert np.allclose(np.asarray(model(form(x))), expected, rtol=1e-5, atol=1e-5)


def test_a_bias_that_pytorch_lacks_can_be_filled_in_every_one(tmp_path):
    for layout, (module, *_) in RANKS.items():
        rules = write_rules(tmp_path, f"[move.{layout}]\n'' = {{ to = 'layer', fill = ['bias'] }}\n")
        state = {"weight": module.weight.detach()}
        bias = next(a for a in remap.plan(rules, state).assignments if a.name == "layer/bias")
        assert bias.value.array().tolist() == [0.0] * 6, layout


PRELU = "[move.dense]\n'0' = 'dense'\n[move.{}]\n'1' = 'act'\n"
FLAT = "[move.dense_after_transposed_flatten]\n'1' = { to = 'dense', sizes = { c = 4, h = 5 } }\n"
SEQUENCE = "[move.conv1d]\n'0' = 'conv'\n[move.prelu_of_sequences]\n'1' = 'act'\n"
CASES = [
    Case(
        f"PReLU behind a Dense: {layout}",
        lambda count=count: nn.Sequential(nn.Linear(5, 6), nn.PReLU(count)),
        lambda: sequential((5,), layers.Dense(6, name="dense"), layers.PReLU(name="act")),
        PRELU.format(layout),
        (5,),
    )
    for layout, count in (("prelu_of_vectors", 6), ("prelu_shared_of_vectors", 1))
]
CASES += [
    Case(
        f"PReLU on sequences, shared axes {shared}",
        lambda: nn.Sequential(nn.Conv1d(4, 6, 3), nn.PReLU(6)),
        lambda shared=shared: sequential(
            (8, 4), layers.Conv1D(6, 3, name="conv"), layers.PReLU(shared_axes=shared, name="act")
        ),
        SEQUENCE,
        (4, 8),
        True,
    )
    for shared in (None, [1])
]
CASES += [
    Case(
        "a Flatten behind a Permute",
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(4 * 5 * 3, 7)),
        lambda: sequential((5, 3, 4), layers.Permute((2, 1, 3)), layers.Flatten(), layers.Dense(7, name="dense")),
        FLAT,
        (4, 5, 3),
        True,
    ),
    Case(
        "a Flatten behind the Permute that PyTorch's order is",
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(4 * 5 * 3, 7)),
        lambda: sequential((5, 3, 4), layers.Permute((3, 1, 2)), layers.Flatten(), layers.Dense(7, name="dense")),
        "[move.dense]\n'1' = 'dense'\n",
        (4, 5, 3),
        True,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_layers_give_equal_outputs(case, tmp_path):
    check_equal(case, tmp_path)
