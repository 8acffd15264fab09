"""One small fault for each code of a cause: how it is seeded, where it is found, and who is blamed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
import torch
from keras import layers, ops
from torch import nn
from torch.nn import functional as F
from verify_exchanges import EXCHANGES, text_of
from verify_faults import FAULTS, Fault, tanh_gelu
from verify_more_faults import MORE_FAULTS, activation, attention, in_proj, norm, old_hard_sigmoid
from verify_networks import Always, OldHardSwish, rules_text
from verify_reorderings import REORDERINGS
from verify_sequences import Unscaled


@dataclass(frozen=True)
class Seeded:
    """What is wrong, and what verify must say of it.

    Args:
        fault: Both networks, the rules, the layer that is named and who is blamed.
        also: Codes of causes that are taken at once.
        options: Arguments of verify.
        weights: What is done to the Keras model whose weights are then loaded; None where they are converted.
    """

    fault: Fault
    also: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    weights: Callable[[Any], None] | None = None


def existing(name, layer=None, also=()):
    """A fault of the other tables."""
    fault = (FAULTS | MORE_FAULTS)[name]
    return Seeded(Fault(fault.torch, fault.keras, fault.rules, layer or fault.layer, fault.cause, fault.blame), also)


class Between(nn.Module):
    """Two linear layers, and anything between them."""

    def __init__(self, compute=lambda x: x, module=None, before=5, width=6):
        super().__init__()
        self.up, self.head = module or nn.Linear(before, width), nn.Linear(width, 3)
        self.compute = compute

    def forward(self, x):
        return self.head(self.compute(self.up(x)))


def between(*inner, before=5, width=6, **up):
    x = keras.Input((7, before))
    y = layers.Dense(width, name="up", **up)(x)
    for layer in inner:
        y = layer(y)
    return keras.Model(x, layers.Dense(3, name="head")(y))


DENSE = rules_text({"up": ("up", "dense"), "head": ("head", "dense")}, ignore=False)


def exchanged(case):
    """A row of the table of exchanges."""
    return Seeded(Fault(case.torch, case.keras, text_of(case)[0], case.layer, "", "weights"))


def line(compute, build, layer, blame="model", module=None):
    """Two linear layers on both sides; PyTorch computes one thing between them, Keras another."""
    return Fault(partial(Between, compute, module), build, DENSE, layer, "", blame)


class Images(nn.Module):
    """A convolution, anything, and a convolution by 1."""

    def __init__(self, conv=None, after=None, before=lambda x: x):
        super().__init__()
        self.conv, self.after, self.head = conv or nn.Conv2d(3, 4, 3), after or nn.Identity(), nn.Conv2d(4, 2, 1)
        self.before = before

    def forward(self, x):
        return self.head(self.after(self.conv(self.before(x))))


def images(conv=None, before=(), after=()):
    x = y = keras.Input((8, 8, 3))
    for layer in (*before, conv or layers.Conv2D(4, 3, name="conv"), *after, layers.Conv2D(2, 1, name="head")):
        y = layer(y)
    return keras.Model(x, y)


def image(layer, torch=None, keras=None, layout="conv2d", extra="", blame="model"):
    rules = rules_text({"conv": ("conv", layout), "head": ("head", "conv2d")}, extra, ignore=False)
    return Fault(partial(Images, **(torch or {})), partial(images, **(keras or {})), rules, layer, "", blame)


def conv(**settings):
    return layers.Conv2D(4, 3, name="conv", **settings)


def kernel(axes, more=""):
    """The convolution's kernel by a layout of its own, which puts its numbers elsewhere."""
    body = f'[layouts.mine]\nkernel = {{ from = "weight", axes = "{axes}"{more} }}\nbias = "bias"\n'
    return image("conv", layout="mine", extra=body, blame="weights")


def pool(torch, keras):
    return image("pool", {"after": torch}, {"after": [keras]})


def resized(torch, keras):
    return image("up", {"after": torch}, {"after": [layers.UpSampling2D(2, name="up", interpolation=keras)]})


def squared():
    body = '[layouts.mine]\nkernel = { from = "weight", axes = "o i -> o i" }\nbias = "bias"\n'
    rules = rules_text({"up": ("up", "mine"), "head": ("head", "dense")}, body, ignore=False)
    return Fault(partial(Between, before=6), partial(between, before=6), rules, "up", "", "weights")


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 2, 5), nn.Linear(2 * 4 * 4, 5)

    def forward(self, x):
        return self.fc(torch.flatten(self.conv(x), 1))


def flat():
    x = keras.Input((8, 8, 3))
    y = layers.Flatten(name="flatten")(layers.Conv2D(2, 5, name="conv")(x))
    return keras.Model(x, layers.Dense(5, name="fc")(y))


FLAT = rules_text({"conv": ("conv", "conv2d"), "fc": ("fc", "dense")}, ignore=False)
OTHER_STATISTICS = """[layouts.mine]
gamma = 'weight'
beta = 'bias'
moving_mean = { from = 'running_mean', axes = "c -> c", flip = ["c"] }
moving_variance = { from = 'running_var', axes = "c -> c", flip = ["c"] }
"""
FRESH = """[layouts.mine]
gamma = 'weight'
beta = 'bias'
[[keep]]
match = 'norm/moving.*'
reason = 'forgotten'
[[ignore]]
match = 'norm.running.*'
reason = 'forgotten'
"""
CROSSED = """[layouts.mine]
gamma = 'weight'
beta = 'bias'
moving_mean = 'running_var'
moving_variance = 'running_mean'
"""


def batch_norm(extra):
    return norm("", (nn.BatchNorm2d, 6), layers.BatchNormalization, "mine", extra, "weights", epsilon=1e-5)


def value_heads():
    """The value's heads split the other way round, which those of query and key are not."""
    kept, exchanged = in_proj("h d").splitlines(), in_proj("d h").splitlines()
    lines = [other if one.startswith('"value/kernel') else one for one, other in zip(kept, exchanged, strict=True)]
    return attention("", "\n".join(lines), "weights")


class Numbered(nn.Module):
    """Rows of a table by position, added to what a linear layer gives; a row for padding stands before them."""

    def __init__(self):
        super().__init__()
        self.up, self.places, self.head = nn.Linear(5, 6), nn.Embedding(12, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.up(x) + self.places(torch.arange(x.shape[1]) + 2))


class Places(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight((12, shape[-1]), name="position_embeddings")

    def call(self, x):
        return ops.broadcast_to(self.table[: x.shape[1]], (1, *x.shape[1:]))


def numbered():
    x = keras.Input((7, 5))
    up = layers.Dense(6, name="up")(x)
    y = layers.Add(name="sum")([up, Places(name="places")(up)])
    return keras.Model(x, layers.Dense(3, name="head")(y))


NUMBERED = DENSE + "[[rename]]\nmatch = 'places.weight'\nto = 'places/position_embeddings'\n"


def angles(count, size, base):
    """Angles of shape (1, positions, half of the channels)."""
    return (np.arange(count)[:, None] * base ** (-np.arange(0, size, 2) / size))[None].astype("float32")


class Turned(nn.Module):
    """Halves of the channels turned by position, between two linear layers."""

    def __init__(self, base):
        super().__init__()
        self.up, self.head, self.base = nn.Linear(5, 6), nn.Linear(6, 3), base

    def forward(self, x):
        y = self.up(x)
        each = torch.arange(x.shape[1]).float()[:, None] * self.base ** (-torch.arange(0, 6, 2).float() / 6)
        angle = torch.cat([each, each], -1)[None]
        turned = torch.cat([-y[..., 3:], y[..., :3]], -1)
        return self.head(y * angle.cos() + turned * angle.sin())


class Rotary(layers.Layer):
    """As keras_hub's layer of that name is spelled."""

    def _compute_cos_sin_embedding(self, x, start_index=0):
        angle = ops.convert_to_tensor(angles(x.shape[1], x.shape[2], 1000.0))
        angle = ops.concatenate([angle, angle], -1)
        return ops.cos(angle), ops.sin(angle)

    def _apply_rotary_pos_emb(self, x, cos, sin):
        one, other = ops.split(x, 2, axis=-1)
        return x * cos + ops.concatenate([-other, one], axis=-1) * sin

    def call(self, x):
        return self._apply_rotary_pos_emb(x, *self._compute_cos_sin_embedding(x))


class Around(layers.Layer):
    """A layer that holds one which turns, and one that takes what it gives."""

    def __init__(self, **options):
        super().__init__(**options)
        self.rotary, self.out = Rotary(name="rotary"), layers.Dense(3, name="out")

    def call(self, x):
        return self.out(self.rotary(x))


def turned():
    x = keras.Input((7, 5))
    return keras.Model(x, Around(name="around")(layers.Dense(6, name="up")(x)))


TURNED = rules_text({"up": ("up", "dense"), "head": ("around/out", "dense")}, ignore=False)


class Tripled(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 3


class Reversing(layers.Layer):
    """BGR of RGB."""

    def call(self, x):
        return ops.flip(x, -1)


class Reverses(keras.Model):
    """The same in the model itself, where no layer is seen to do it."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = layers.Conv2D(4, 3, name="conv"), layers.Conv2D(2, 1, name="head")

    def call(self, x):
        return self.head(self.conv(x[..., ::-1]))


def reversing():
    model = Reverses()
    model(keras.Input((8, 8, 3)))
    return model


IMAGES = rules_text({"conv": ("conv", "conv2d"), "head": ("head", "conv2d")}, ignore=False)


class Scaled(Between):
    """Something behind the last layer."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return self.scale(super().forward(x))


def behind(*last, scale=lambda y: y, layer="head"):
    def build():
        model = between()
        y = model.output
        for layer in last:
            y = layer(y)
        return keras.Model(model.input, y)

    return Fault(partial(Scaled, scale), build, DENSE, layer, "")


class Scales(Reverses):
    """A factor in the model itself."""

    def call(self, x):
        return self.head(self.conv(x)) * 3 + 1


def scaling():
    model = Scales()
    model(keras.Input((8, 8, 3)))
    return model


class Single(layers.Layer):
    """Computes in single precision whatever comes."""

    def call(self, x):
        return ops.cast(ops.tanh(ops.cast(x, "float32")), x.dtype)


def scrambled(model):
    for variable in model.variables:
        variable.assign(np.random.default_rng(0).uniform(0.5, 1, variable.shape))


LEAK = partial(F.leaky_relu, negative_slope=0.01)
DOUBLE = {"float64": True}

SEEDED = {
    "V101": Seeded(image("conv", {"conv": nn.Conv2d(3, 4, 3, padding=1)})),
    "V102": Seeded(image("conv", {"conv": nn.Conv2d(3, 4, 3, 2)}, {"conv": conv()})),
    "V103": Seeded(image("conv", {"conv": nn.Conv2d(3, 4, 3, dilation=2)})),
    "V104": Seeded(pool(nn.MaxPool2d(3, 1), layers.MaxPooling2D(2, 1, name="pool"))),
    "V105": Seeded(
        image("conv", {"conv": nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")}, {"conv": conv(padding="same")})
    ),
    "V106": existing("zeros before a maximum"),
    "V107": Seeded(pool(nn.AvgPool2d(3, 1, 1), layers.AveragePooling2D(3, 1, "same", name="pool"))),
    "V108": existing("ceil_mode"),
    "V109": existing("output_padding left out"),
    "V110": existing("dilation and padding of a transposed convolution", also=("V103", "V101")),
    "V111": existing("groups"),
    "V121": Seeded(resized(nn.Upsample(scale_factor=2, mode="bilinear"), "nearest")),
    "V122": Seeded(resized(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), "bilinear")),
    "V123": Seeded(resized(nn.Upsample(scale_factor=2, mode="bicubic"), "bicubic")),
    "V201": existing("epsilon of a group norm"),
    "V202": existing("groups of a group norm"),
    "V203": Seeded(batch_norm(FRESH)),
    "V204": Seeded(batch_norm(CROSSED)),
    "V205": Seeded(batch_norm(OTHER_STATISTICS)),
    "V206": existing("statistics of each batch"),
    "V207": existing("scale and offset exchanged"),
    "V301": Seeded(activation("act", "", nn.SiLU, lambda: layers.Activation("tanh", name="act"))),
    "V302": Seeded(activation("act", "", nn.GELU, lambda: layers.Activation(tanh_gelu, name="act"))),
    "V303": Seeded(activation("act", "", nn.Hardswish, lambda: OldHardSwish(name="act"))),
    "V304": Seeded(activation("act", "", nn.Hardsigmoid, lambda: layers.Activation(old_hard_sigmoid, name="act"))),
    "V305": Seeded(activation("act", "", nn.Identity, lambda: layers.Activation("tanh", name="act"))),
    "V401": Seeded(squared()),
    "V402": Seeded(kernel("o i h w -> h w i o", ', flip = ["h", "w"]')),
    "V403": Seeded(kernel("(g o) i h w -> h w i (o g)", ", sizes = { g = 2 }")),
    "V404": Seeded(Fault(Flat, flat, FLAT, "fc", "", "weights")),
    "V405": Seeded(value_heads()),
    "V406": existing("bias not loaded"),
    "V407": Seeded(line(lambda x: x, between, "up", "weights"), weights=scrambled),
    "V408": exchanged(EXCHANGES["two linear layers"]),
    "V409": exchanged(EXCHANGES["biases"]),
    "V410": exchanged(EXCHANGES["directions inside of a Bidirectional"]),
    "V411": exchanged(EXCHANGES["query and key as layers"]),
    "V412": exchanged(REORDERINGS["a flatten joined with numbers"][0]),
    "V413": exchanged(REORDERINGS["a depth to space"][0]),
    "V501": Seeded(attention("", kind=Unscaled)),
    "V502": existing("mask of padding"),
    "V503": existing("query and key exchanged"),
    "V504": existing("number of heads"),
    "V505": Seeded(Fault(Numbered, numbered, NUMBERED, "places", "")),
    "V506": Seeded(Fault(partial(Turned, 100.0), turned, TURNED, "around/out", "")),
    "V601": existing("nonlinearity of a plain RNN"),
    "V602": existing("recurrent activation of a GRU"),
    "V603": existing("biases of a GRU exchanged"),
    "V604": existing("one bias of an LSTM left out"),
    "V605": existing("gates of a GRU not reordered"),
    "V606": existing("reset before the product, with a bias"),
    "V701": Seeded(image("rescale", keras={"before": [layers.Rescaling(0.1, 0.5, name="rescale")]})),
    "V702": Seeded(image("conv", {"before": lambda x: (x - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / 0.5})),
    "V703": Seeded(line(lambda x: x * 3, between, "head")),
    "V704": Seeded(line(lambda x: F.dropout(x, 0.5), between, "head", "torch")),
    "V705": Seeded(line(lambda x: x, lambda: between(Always(0.5, name="drop")), "drop")),
    "V706": Seeded(line(lambda x: x, lambda: between(layers.UnitNormalization(name="unit")), "unit")),
    "V707": Seeded(line(lambda x: x.cumsum(-1), between, "head")),
    "V708": Seeded(line(lambda x: x.cumsum(-1), lambda: between(layers.UnitNormalization(name="unit")), "unit")),
    "V709": Seeded(line(lambda x: x, between, "up", module=Tripled(5, 6))),
    "V710: in a layer": Seeded(image("turn", keras={"before": [Reversing(name="turn")]})),
    "V710: in a layer, scaled behind it": Seeded(
        image("turn", {"before": lambda x: x / 2}, {"before": [Reversing(name="turn"), layers.Rescaling(0.5)]})
    ),
    "V710: without a layer": Seeded(Fault(Images, reversing, IMAGES, "conv", "")),
    "V710: in PyTorch": Seeded(image("conv", {"before": lambda x: x.flip(1)})),
    "V710: in PyTorch, by an index": Seeded(image("conv", {"before": lambda x: x[:, [2, 1, 0]]})),
    "V710: in the kernel": Seeded(kernel("o i h w -> h w i o", ', flip = ["i"]')),
    "V710: in the matrix of a first dense layer": Seeded(
        Fault(
            Between,
            between,
            rules_text(
                {"up": ("up", "mine"), "head": ("head", "dense")},
                '[layouts.mine]\nkernel = { from = "weight", axes = "o i -> i o", flip = ["i"] }\nbias = "bias"\n',
                ignore=False,
            ),
            "up",
            "",
            "weights",
        )
    ),
    "V711: a factor in Keras": Seeded(behind(layers.Rescaling(2.5, name="scale"), layer="scale")),
    "V711: a factor and an offset in Keras": Seeded(behind(layers.Rescaling(0.5, 3.0, name="scale"), layer="scale")),
    "V711: a factor in PyTorch": Seeded(behind(scale=lambda y: y * 255)),
    "V711: a factor and an offset in PyTorch": Seeded(behind(scale=lambda y: y * 0.2 - 1)),
    "V711: an offset in PyTorch": Seeded(behind(scale=lambda y: y + 4)),
    "V711: without a layer": Seeded(Fault(Images, scaling, IMAGES, "output 0", "")),
    "V801": Seeded(line(LEAK, lambda: between(layers.LeakyReLU(0.01, name="act")), "act", "rounding"), options=DOUBLE),
    "V802": Seeded(line(torch.tanh, lambda: between(Single(name="act")), "act", "rounding"), options=DOUBLE),
}
