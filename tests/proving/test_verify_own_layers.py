"""Layers that are called like others through the whole of a proof: it holds, and where it fails no trial breaks."""

from __future__ import annotations

import keras
import pytest
import torch
from keras import layers
from torch import nn
from verify_networks import randomise

HEAD = "[[rename]]\nmatch = 'head'\nto = 'head'\nlayout = 'dense'\n"
RECURRENT = """format = 1
[layouts.gates]
"conv_lstm_cell/kernel" = { from = 'x.weight', axes = "o i h w -> h w i o" }
"conv_lstm_cell/recurrent_kernel" = { from = 'h.weight', axes = "o i h w -> h w i o" }
"conv_lstm_cell/bias" = { from = 'x.bias' }
[[rename]]
match = 'own'
to = 'own'
layout = 'gates'
"""
DENSE = "format = 1\n[[rename]]\nmatch = 'own'\nto = 'own'\nlayout = 'dense'\n"


class Gates(nn.Module):
    """A convolutional LSTM over two pictures, by its definition; time is the axis after the channels."""

    def __init__(self):
        super().__init__()
        self.x, self.h = nn.Conv2d(2, 12, 3), nn.Conv2d(3, 12, 3, padding=1, bias=False)

    def forward(self, pictures):
        h = c = 0
        for x in pictures.unbind(2):
            gates = self.x(x) + (self.h(h) if torch.is_tensor(h) else 0)
            i, f, g, o = gates.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h


class Twice(nn.Linear):
    def forward(self, x):
        return torch.tanh(torch.tanh(super().forward(x)))


class DenseTwice(layers.Dense):
    def call(self, x):
        return self.activation(super().call(x))


class Net(nn.Module):
    def __init__(self, own, width):
        super().__init__()
        self.own, self.head = own, nn.Linear(width, 2)

    def forward(self, x):
        y = self.own(x)
        return self.head(y.mean((2, 3)) if y.ndim == 4 else y)


def recurrent(activation):
    x = keras.Input((2, 5, 5, 2))
    y = layers.ConvLSTM2D(3, 3, activation=activation, recurrent_activation="sigmoid", name="own")(x)
    return keras.Model(x, layers.Dense(2, name="head")(keras.ops.mean(y, (1, 2))))


def dense(activation):
    x = keras.Input((4,))
    own = DenseTwice(4, activation=activation, name="own")
    return keras.Model(x, layers.Dense(2, name="head")(own(x)))


CASES = {
    "recurrent": (lambda: Net(Gates(), 3), recurrent, RECURRENT + HEAD),
    "dense": (lambda: Net(Twice(4, 4), 4), dense, DENSE + HEAD),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_layer_is_called_leads_no_trial_astray(name, hold):
    network, build, rules = CASES[name]
    network = randomise(network())
    assert hold(network, lambda: build("tanh"), rules).verdict == "equal"
    differing = hold(network, lambda: build("relu"), rules)
    assert (differing.verdict, differing.finding.layer) == ("differ", "own")
    assert differing.finding.failed == ()
