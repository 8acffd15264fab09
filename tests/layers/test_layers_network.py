"""Networks that mix the layers, converted by one rule file each."""

import keras
import numpy as np
import pytest
import torch
from keras import layers
from layer_parity import Case, check_equal
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


class Images(nn.Module):
    """Convolutions of every kind, norms that fold and do not, a flatten, heads."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(weight_norm(nn.Conv2d(3, 6, 3, padding=1)), nn.BatchNorm2d(6), nn.PReLU(6))
        self.separable = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Conv2d(6, 8, 1, bias=False))
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.group_norm = nn.GroupNorm(2, 8)
        self.down = spectral_norm(nn.Conv2d(8, 6, 2, stride=2, bias=False))
        self.down_norm = nn.BatchNorm2d(6)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.instance_norm = nn.InstanceNorm2d(4, affine=True)
        self.shuffle = nn.Sequential(nn.Conv2d(4, 8, 1), nn.PixelShuffle(2))
        self.flat_norm = nn.BatchNorm1d(2 * 16 * 12)
        self.head = nn.Sequential(nn.Linear(2 * 16 * 12, 10), nn.LayerNorm(10), nn.Linear(10, 5))

    def forward(self, x):
        x = self.separable(self.stem(x))
        x = nn.functional.gelu(self.group_norm(self.grouped(x))) + x
        x = torch.relu(self.down_norm(self.down(x)))
        x = self.shuffle(self.instance_norm(self.up(x)))
        return self.head(self.flat_norm(x.flatten(1)))


class DepthToSpace(layers.Layer):
    def call(self, x):
        _, height, width, channels = x.shape
        x = keras.ops.reshape(x, (-1, height, width, 2, 2, channels // 4))
        x = keras.ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return keras.ops.reshape(x, (-1, height * 2, width * 2, channels // 4))


def keras_images():
    x = start = keras.Input((8, 6, 3))
    x = layers.Conv2D(6, 3, padding="same", name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.PReLU(shared_axes=[1, 2], name="stem_act")(x)
    x = layers.SeparableConv2D(8, 3, padding="same", name="separable")(x)
    y = layers.Conv2D(8, 3, padding="same", groups=2, name="grouped")(x)
    y = layers.GroupNormalization(2, epsilon=1e-5, name="group_norm")(y)
    x = layers.Add()([layers.Activation("gelu")(y), x])
    x = layers.Conv2D(6, 2, 2, name="down")(x)
    x = layers.BatchNormalization(epsilon=1e-5, scale=False, name="down_norm")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2DTranspose(4, 2, 2, name="up")(x)
    x = layers.GroupNormalization(-1, epsilon=1e-5, name="instance_norm")(x)
    x = DepthToSpace()(layers.Conv2D(8, 1, name="shuffle")(x))
    x = layers.Flatten()(x)
    x = layers.BatchNormalization(epsilon=1e-5, name="flat_norm")(x)
    x = layers.Dense(10, name="head_in")(x)
    x = layers.LayerNormalization(epsilon=1e-5, name="head_norm")(x)
    return keras.Model(start, layers.Dense(5, name="head_out")(x))


IMAGES = r"""
[batchnorm]
on_mismatch = "fold"
source_epsilon = 1e-5

[[derive]]
op = "weight_norm"
from.g = '(?P<module>.*)\.parametrizations\.weight\.original0'
from.v = '(?P<module>.*)\.parametrizations\.weight\.original1'
to = '{module}.weight'

[[derive]]
op = "spectral_norm"
from.weight = '(?P<module>.*)\.parametrizations\.weight\.original'
from.u = '(?P<module>.*)\.parametrizations\.weight\.0\._u'
from.v = '(?P<module>.*)\.parametrizations\.weight\.0\._v'
to = '{module}.weight'

[[rename]]
match = 'stem\.0'
to = 'stem_conv'
layout = "conv2d"
[[rename]]
match = 'stem\.1'
to = 'stem_norm'
layout = "batch_normalization"
[[rename]]
match = 'stem\.2'
to = 'stem_act'
layout = "prelu"
[[rename]]
match = 'separable'
to = 'separable'
layout = "separable_conv2d"
[[rename]]
match = '(?P<name>grouped|down)'
to = '{name}'
layout = "conv2d"
fill = ["bias"]
[[rename]]
match = '(?P<name>group_norm|instance_norm)'
to = '{name}'
layout = "group_normalization"
[[rename]]
match = 'down_norm'
to = 'down_norm'
layout = "batch_normalization_without_gamma"
[[rename]]
match = 'up'
to = 'up'
layout = "conv2d_transpose"
[[rename]]
match = 'shuffle\.0'
to = 'shuffle'
layout = "conv2d_before_depth_to_space"
sizes = { c = 2 }
[[rename]]
match = 'flat_norm'
to = 'flat_norm'
layout = "batch_normalization_after_flatten"
sizes = { c = 2 }
[[rename]]
match = 'head\.0'
to = 'head_in'
layout = "dense_after_flatten"
sizes = { c = 2 }
[[rename]]
match = 'head\.1'
to = 'head_norm'
layout = "layer_normalization"
[[rename]]
match = 'head\.2'
to = 'head_out'
layout = "dense"
[[ignore]]
match = '.*\.num_batches_tracked'
reason = "Keras keeps no such counter"
"""


class Sequences(nn.Module):
    """Token and position tables, recurrent layers both ways, attention, a head tied to the table."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(13, 12)
        self.positions = nn.Embedding(2 + 6, 12)
        self.lstm = nn.LSTM(12, 6, 2, bidirectional=True, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(12, 3, 20, activation="gelu", batch_first=True)
        self.gru = nn.GRU(12, 12, batch_first=True)
        self.norm = nn.RMSNorm(12, eps=1e-6)
        self.head = nn.Linear(12, 13, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, x):
        x = self.tokens(tokens_of(x)) + self.positions.weight[2:]
        x = self.encoder(self.lstm(x)[0])
        return self.head(self.norm(self.gru(x)[0]))


def tokens_of(x):
    return (x.abs() * 1000).long() % 13 if isinstance(x, torch.Tensor) else (np.abs(x) * 1000).astype(np.int64) % 13


class Positions(layers.Layer):
    def build(self, shape):
        self.embeddings = self.add_weight(shape=shape[1:], name="embeddings")

    def call(self, x):
        return x + self.embeddings


def keras_sequences():
    x = start = keras.Input((6,), dtype="int32")
    x = Positions(name="positions")(layers.Embedding(13, 12, name="tokens")(x))
    for i in range(2):
        x = layers.Bidirectional(layers.LSTM(6, return_sequences=True, name=f"lstm{i}"), name=f"both{i}")(x)
    y = layers.MultiHeadAttention(3, 4, name="attention")(x, x)
    x = layers.LayerNormalization(epsilon=1e-5, name="norm1")(layers.Add()([x, y]))
    y = layers.Dense(12, name="linear2")(layers.Dense(20, activation="gelu", name="linear1")(x))
    x = layers.LayerNormalization(epsilon=1e-5, name="norm2")(layers.Add()([x, y]))
    x = layers.GRU(12, return_sequences=True, name="gru")(x)
    x = layers.RMSNormalization(epsilon=1e-6, name="norm")(x)
    return keras.Model(start, layers.Dense(13, use_bias=False, name="head")(x))


SEQUENCES = r"""
[tables.directions]
"" = "forward"
_reverse = "backward"

[[rename]]
match = 'tokens'
to = 'tokens'
layout = "embedding"
[[rename]]
match = 'positions\.weight'
to = 'positions/embeddings'
axes = "row e -> row e"
take = { row = "2:" }
[[rename]]
match = 'lstm'
to = '{directions[reverse]}_lstm{layer}'
layout = "lstm"
[[rename]]
match = 'encoder\.self_attn'
to = 'attention'
layout = "multi_head_attention"
[[rename]]
match = 'encoder\.(?P<name>linear<n>)'
to = '{name}'
layout = "dense"
[[rename]]
match = 'encoder\.norm<n>'
to = 'norm{n}'
layout = "layer_normalization"
[[rename]]
match = 'gru'
to = 'gru'
layout = "gru"
[[rename]]
match = 'norm'
to = 'norm'
layout = "rms_normalization"
[[rename]]
match = 'head'
to = 'head'
layout = "dense"
"""

NETWORKS = [
    Case("images", Images, keras_images, IMAGES, (3, 8, 6), True),
    Case("sequences", Sequences, keras_sequences, SEQUENCES, (6,), call=lambda model, x: model(tokens_of(x))),
]


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_a_network_of_many_layers_gives_equal_outputs(case, tmp_path):
    plan = check_equal(case, tmp_path)
    assert not plan.warnings
    assert sum(bool(assignment.blind) for assignment in plan.assignments) > len(plan.assignments) / 3
