"""A fused query, key and value in PyTorch beside three Dense layers in Keras: equal, and which parts are exchanged."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from torch import nn
from verify_networks import randomise

import remap
from remap.sides.keras.spec import ModelSource

RULES = r"""format = 1
[move.dense]
'blocks\.<i>\.attn\.qkv' = { to = ['block{i}_q', 'block{i}_k', 'block{i}_v'], split = { o = 3 } }
'blocks\.<i>\.attn\.proj' = 'block{i}_proj'
"""


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        query, key, value = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        mixed = (query @ key.transpose(-2, -1) / 2).softmax(-1) @ value
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = Attention()

    def forward(self, x):
        return x + self.attn(x)


class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(2))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def unfused():
    x = inputs = keras.Input((5, 8))
    for i in range(2):
        made = [layers.Dense(8, name=f"block{i}_{role}")(x) for role in "qkv"]
        query, key, value = (ops.transpose(ops.reshape(one, (-1, 5, 2, 4)), (0, 2, 1, 3)) for one in made)
        mixed = ops.matmul(ops.softmax(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / 2), value)
        joined = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, 5, 8))
        x = x + layers.Dense(8, name=f"block{i}_proj")(joined)
    return keras.Model(inputs, x)


def test_the_split_layers_compute_what_the_fused_one_does(saved, tmp_path):
    module = randomise(Fused()).eval()
    (tmp_path / "rules.toml").write_text(RULES)
    written = tmp_path / "net.weights.h5"
    remap.apply(tmp_path / "rules.toml", saved(module), written, model=ModelSource("the Keras model", unfused))
    model = unfused()
    model.load_weights(written)
    x = np.random.default_rng(0).standard_normal((2, 5, 8)).astype("f4")
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exchanged", [False, True])
def test_verify_tells_parts_that_are_exchanged(exchanged, hold):
    rules = RULES.replace("'block{i}_q', 'block{i}_k'", "'block{i}_k', 'block{i}_q'") if exchanged else RULES
    found = hold(randomise(Fused()).eval(), unfused, rules)
    assert found.verdict == ("differ" if exchanged else "equal")
    if exchanged:
        assert found.finding.code == "V411"
        assert "part 1 of blocks.0.attn.qkv to block0_k" in found.finding.text
        assert "part 2 of blocks.0.attn.qkv to block0_k" in found.finding.hint
