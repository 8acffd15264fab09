"""Small networks around one kind of layer each: transposed convolutions, normalisations, attention by rules."""

import keras
import numpy as np
import torch
from keras import layers, ops
from torch import nn
from torch.nn import functional as F


class TorchUp(nn.Module):
    """A transposed convolution and a 1x1 convolution."""

    def __init__(self, rank=2, **settings):
        super().__init__()
        self.up = (nn.ConvTranspose1d, nn.ConvTranspose2d)[rank - 1](3, 4, **settings)
        self.head = (nn.Conv1d, nn.Conv2d)[rank - 1](4, 3, 1)

    def forward(self, x):
        return self.head(torch.relu(self.up(x)))


def keras_up(rank=2, crop=0, **settings):
    x = keras.Input((*(8,) * rank, 3))
    y = (layers.Conv1DTranspose, layers.Conv2DTranspose)[rank - 1](4, name="up", **settings)(x)
    if crop:
        y = (layers.Cropping1D, layers.Cropping2D)[rank - 1](crop, name="crop")(y)
    y = layers.ReLU(name="relu")(y)
    return keras.Model(x, (layers.Conv1D, layers.Conv2D)[rank - 1](3, 1, name="head")(y))


class TorchNorm(nn.Module):
    """Two convolutions and a normalisation between them."""

    def __init__(self, kind, *settings, **more):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 6, 3), kind(*settings, **more), nn.Conv2d(6, 3, 1)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)))


def keras_norm(kind, **settings):
    x = keras.Input((8, 8, 3))
    y = kind(name="norm", **settings)(layers.Conv2D(6, 3, name="conv")(x))
    return keras.Model(x, layers.Conv2D(3, 1, name="head")(y))


class TorchRMS(nn.Module):
    def __init__(self, eps=None):
        super().__init__()
        self.up, self.norm, self.head = nn.Linear(5, 6), nn.RMSNorm(6, eps=eps), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.norm(self.up(x)))


def keras_rms(epsilon):
    x = keras.Input((7, 5))
    y = layers.RMSNormalization(epsilon=epsilon, name="norm")(layers.Dense(6, name="up")(x))
    return keras.Model(x, layers.Dense(3, name="head")(y))


class TorchMasked(nn.Module):
    """Attention that may not look at some positions."""

    def __init__(self, padding=False):
        super().__init__()
        self.padding = padding
        self.attn = nn.MultiheadAttention(12, 3, batch_first=True)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        if self.padding:
            ignored = torch.arange(x.shape[1]).expand(x.shape[0], -1) > 3
            return self.head(self.attn(x, x, x, need_weights=False, key_padding_mask=ignored)[0])
        ignored = (torch.arange(7)[:, None] + torch.arange(7)) % 3 == 1
        return self.head(self.attn(x, x, x, need_weights=False, attn_mask=ignored)[0])


def keras_masked():
    x = keras.Input((7, 12))
    keeps = ((np.arange(7)[:, None] + np.arange(7)) % 3 != 1)[None]
    y = layers.MultiHeadAttention(3, 4, name="attn")(x, x, attention_mask=ops.convert_to_tensor(keeps))
    return keras.Model(x, layers.Dense(4, name="head")(y))


class TorchWritten(nn.Module):
    """Attention over a mask that is given to the function."""

    def __init__(self, masked=False):
        super().__init__()
        self.masked = masked
        self.q, self.k, self.v, self.out = (nn.Linear(12, 12) for _ in range(4))

    def forward(self, x):
        q, k, v = (layer(x).unflatten(-1, (3, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mask = (torch.arange(7)[:, None] + torch.arange(7)) % 3 != 1 if self.masked else None
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


class Written(keras.Model):
    """The same, with its heads split as wanted."""

    def __init__(self, heads=3, interleaved=False):
        super().__init__()
        self.heads, self.interleaved = heads, interleaved
        self.q, self.k, self.v, self.out = (layers.Dense(12, name=name) for name in ("q", "k", "v", "out"))

    def call(self, x):
        size = 12 // self.heads
        q, k, v = (self.split(layer(x), size) for layer in (self.q, self.k, self.v))
        scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) * size**-0.5
        mixed = ops.transpose(ops.matmul(ops.softmax(scores), v), (0, 2, 1, 3))
        return self.out(ops.reshape(mixed, (-1, 7, 12)))

    def split(self, x, size):
        if self.interleaved:
            return ops.transpose(ops.reshape(x, (-1, 7, size, self.heads)), (0, 3, 1, 2))
        return ops.transpose(ops.reshape(x, (-1, 7, self.heads, size)), (0, 2, 1, 3))


def written(**options):
    model = Written(**options)
    model(keras.Input((7, 12)))
    return model


class TorchAct(nn.Module):
    """Two linear layers and a module between them."""

    def __init__(self, act):
        super().__init__()
        self.up, self.act, self.head = nn.Linear(5, 8), act, nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.act(self.up(x)))


def keras_act(act):
    x = keras.Input((7, 5))
    return keras.Model(x, layers.Dense(3, name="head")(act(layers.Dense(8, name="up")(x))))
