"""Small networks in which one side writes an axis in another order before a layer takes it."""

from __future__ import annotations

import keras
import torch
from keras import layers, ops
from torch import nn
from verify_exchanges import Exchange, rows


class Joined(nn.Module):
    """A flattened map beside numbers of another kind, before or behind them, and a linear layer or a normalisation."""

    def __init__(self, first=False, norm=False):
        super().__init__()
        self.conv, self.first = nn.Conv2d(1, 4, 3), first
        self.norm = nn.BatchNorm1d(4 * 6 * 6 + 5) if norm else nn.Identity()
        self.fc = nn.Linear(4 * 6 * 6 + 5, 3)

    def forward(self, image, extra):
        x = torch.relu(self.conv(image)).flatten(1)
        return self.fc(self.norm(torch.cat([extra, x] if self.first else [x, extra], 1)))


def joined(first=False, norm=False):
    image, extra = keras.Input((8, 8, 1), name="image"), keras.Input((5,), name="extra")
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu", name="conv")(image))
    x = layers.Concatenate(name="join")([extra, x] if first else [x, extra])
    x = layers.BatchNormalization(epsilon=1e-5, name="norm")(x) if norm else x
    return keras.Model([image, extra], layers.Dense(3, name="fc")(x))


class Maps(nn.Module):
    """Two maps of other sizes, flattened and joined."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 3, 3), nn.Linear(3 * 16 + 2 * 36, 3)

    def forward(self, x):
        return self.fc(torch.cat([self.conv(x).flatten(1), x.flatten(1)], 1))


def maps():
    x = keras.Input((6, 6, 2))
    y = layers.Concatenate()([layers.Flatten()(layers.Conv2D(3, 3, name="conv")(x)), layers.Flatten()(x)])
    return keras.Model(x, layers.Dense(3, name="fc")(y))


class Shuffled(nn.Module):
    """A channel shuffle between two convolutions; Keras shuffles by other groups."""

    def __init__(self, groups=2):
        super().__init__()
        self.a, self.b, self.groups = nn.Conv2d(2, 12, 3), nn.Conv2d(12, 3, 1), groups

    def forward(self, x):
        y = self.a(x)
        n, c, h, w = y.shape
        return self.b(y.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w))


class Shuffle(layers.Layer):
    def __init__(self, groups, **options):
        super().__init__(**options)
        self.groups = groups

    def call(self, x):
        h, w, c = x.shape[1:]
        y = ops.reshape(x, (-1, h, w, self.groups, c // self.groups))
        return ops.reshape(ops.swapaxes(y, 3, 4), (-1, h, w, c))


def shuffled(groups=3):
    x = keras.Input((6, 6, 2))
    y = Shuffle(groups, name="shuffle")(layers.Conv2D(12, 3, name="a")(x))
    return keras.Model(x, layers.Conv2D(3, 1, name="b")(y))


class Upscaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.up, self.b = nn.Conv2d(2, 12, 3), nn.PixelShuffle(2), nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.b(self.up(self.a(x)))


class DepthToSpace(layers.Layer):
    def call(self, x):
        h, w, c = x.shape[1:]
        y = ops.transpose(ops.reshape(x, (-1, h, w, 2, 2, c // 4)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(y, (-1, 2 * h, 2 * w, c // 4))


def upscaled():
    x = keras.Input((6, 6, 2))
    y = DepthToSpace(name="up")(layers.Conv2D(12, 3, name="a")(x))
    return keras.Model(x, layers.Conv2D(4, 3, name="b")(y))


class Frames(nn.Module):
    """Maps of each moment, flattened: (batch, time, channels, rows, columns)."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 3, 3), nn.Linear(3 * 16, 4)

    def forward(self, x):
        n, t = x.shape[:2]
        return self.fc(self.conv(x.flatten(0, 1)).view(n, t, 3, 4, 4).flatten(2))


class Lines(nn.Module):
    """Columns of a map as a sequence, of channels and rows."""

    def __init__(self):
        super().__init__()
        self.conv, self.rnn = nn.Conv2d(1, 3, 3), nn.GRU(12, 5, batch_first=True)

    def forward(self, x):
        return self.rnn(self.conv(x).permute(0, 3, 1, 2).flatten(2))[0]


def reading():
    x = keras.Input((6, 8, 1))
    y = layers.Permute((2, 1, 3))(layers.Conv2D(3, 3, name="conv")(x))
    return keras.Model(x, layers.GRU(5, return_sequences=True, name="rnn")(layers.Reshape((6, 12))(y)))


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 3, 3), nn.Linear(3 * 4 * 6, 4)

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))


class Inside(layers.Layer):
    """A flatten by ops, and the layer that takes it, inside of one's own."""

    def __init__(self, **options):
        super().__init__(**options)
        self.fc = layers.Dense(4, name="fc")

    def call(self, x):
        return self.fc(ops.reshape(ops.swapaxes(x, 1, 2), (-1, 72)))


def flat(*inner):
    x = keras.Input((6, 8, 1))
    y = layers.Conv2D(3, 3, name="conv")(x)
    for layer in inner:
        y = layer(y)
    return keras.Model(x, y)


CONV = rows("conv2d", conv="conv")
FC = rows("dense", fc="fc")
C36 = '{ tensor = "weight", axes = "o (c s) -> o (s c)", take = { "(c s)" = "%s" }, sizes = { c = 4 } }'
REORDERINGS = {
    "a flatten joined with numbers": (
        Exchange(Joined, joined, (*CONV, *FC), "fc", "V412", ("entries 0 to 143 (4, 36) as (36, 4)",)),
        C36 % "0:144",
    ),
    "numbers joined with a flatten": (
        Exchange(lambda: Joined(True), lambda: joined(True), (*CONV, *FC), "fc", "V412", ("entries 5 to 148 (4, 36)",)),
        C36 % "5:149",
    ),
    "numbers in the other order": (
        Exchange(lambda: Joined(True), joined, (*CONV, *FC), "fc", "V412", ("entries 5 to 148", "entries 0 to 4")),
        'take = { i = "0:5" }',
    ),
    "two flattens": (
        Exchange(Maps, maps, (*CONV, *FC), "fc", "V412", ("(3, 16) as (16, 3)", "(2, 36) as (36, 2)")),
        'concat = "i"',
    ),
    "a normalisation of a join": (
        Exchange(
            lambda: Joined(norm=True),
            lambda: joined(norm=True),
            (*CONV, *FC, ("batch_normalization", "norm", "norm")),
            "norm",
            "V412",
            ("(4, 36) as (36, 4)",),
            ("fc",),
        ),
        '"gamma" = { from = [',
    ),
    "a shuffle by other groups": (
        Exchange(Shuffled, shuffled, rows("conv2d", a="a", b="b"), "b", "V412", ("which no factors of it tell",)),
        'axes = "o i h w -> h w i o", order = { i = [',
    ),
    "no shuffle": (
        Exchange(Shuffled, lambda: shuffled(1), rows("conv2d", a="a", b="b"), "b", "V412", ("(6, 2) as (2, 6)",)),
        'axes = "o (c s) h w -> h w (s c) o", sizes = { c = 6 }',
    ),
    "a depth to space": (
        Exchange(Upscaled, upscaled, rows("conv2d", a="a", b="b"), "up", "V413", ("wants the channels of a",)),
        "axes = '(a b) ... -> ... (b a)', sizes = { a = 3 }",
    ),
    "a GRU that reads columns": (
        Exchange(Lines, reading, (*CONV, ("gru", "rnn", "rnn")), "rnn", "V412", ("(3, 4) as (4, 3)",)),
        "with its input in that order",
    ),
    "a flatten inside of a layer": (
        Exchange(
            Flat,
            lambda: flat(Inside(name="in")),
            (*CONV, ("dense", "fc", "in/fc")),
            "in/fc",
            "V404",
            ("a flatten of (3, 4, 6) by (2, 1, 0)",),
        ),
        "mend the layout",
    ),
}
