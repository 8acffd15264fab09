"""Pairs of networks that are equal as they stand, and the settings with which they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import torch
from keras import layers
from torch import nn
from torch.nn import functional as F

Rules = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Setting:
    """A keyword of the Keras model's builder that makes it compute something else."""

    kind: str
    value: Mapping[str, Any]
    layer: str
    codes: tuple[str, ...]
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """A pair that is equal as it stands, and where it can go wrong.

    Args:
        torch: Makes the PyTorch module.
        keras: Makes the Keras model; takes the keywords of ``settings``.
        rules: Module to layer and layout, in the order of execution.
        settings: Faults of the model.
    """

    torch: Callable[[], nn.Module]
    keras: Callable[..., Any]
    rules: Rules
    settings: tuple[Setting, ...] = ()


class Residual(nn.Module):
    """Three residual blocks of one shape, a convolution that halves, a flatten and three linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_bn = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        for n in range(3):
            self.add_module(f"conv{n}", nn.Conv2d(6, 6, 3, padding=1))
            self.add_module(f"bn{n}", nn.BatchNorm2d(6))
        self.down, self.fc0 = nn.Conv2d(6, 4, 3, 2, 1), nn.Linear(4 * 16, 12)
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(12), nn.Linear(12, 12), nn.Linear(12, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem_bn(self.stem(x)))
        for n in range(3):
            x = F.silu(x + getattr(self, f"bn{n}")(getattr(self, f"conv{n}")(x)))
        x = self.norm(self.fc0(torch.flatten(F.leaky_relu(self.down(x), 0.1), 1)))
        return self.fc2(torch.tanh(self.fc1(x)))


def residual(
    epsilon: float = 1e-5,
    norm_epsilon: float = 1e-5,
    act: str = "silu",
    slope: float = 0.1,
    last: str | None = None,
    padded: bool = True,
    stem: str | None = "relu",
    dilation: int = 1,
    fc1: str = "tanh",
    rescale: bool = False,
) -> Any:
    """The same in Keras."""
    x = start = keras.Input((8, 8, 3))
    if rescale:
        x = layers.Rescaling(1 / 255, name="rescale")(x)
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(x)
    x = layers.BatchNormalization(epsilon=epsilon, name="stem_bn")(x)
    x = layers.Activation(stem, name="stem_act")(x)
    for n in range(3):
        y = layers.Conv2D(6, 3, padding="same", dilation_rate=dilation if n == 1 else 1, name=f"conv{n}")(x)
        y = layers.BatchNormalization(epsilon=1e-5, name=f"bn{n}")(y)
        x = layers.Activation(act if n == 2 else "silu", name=f"act{n}")(layers.Add(name=f"add{n}")([x, y]))
    if padded:
        x = layers.ZeroPadding2D(1, name="pad")(x)
    x = layers.Conv2D(4, 3, 2, padding="valid" if padded else "same", name="down")(x)
    x = layers.LeakyReLU(negative_slope=slope, name="leaky")(x)
    x = layers.Dense(12, name="fc0")(layers.Flatten(name="flatten")(x))
    x = layers.LayerNormalization(epsilon=norm_epsilon, name="norm")(x)
    x = layers.Dense(12, activation=fc1, name="fc1")(x)
    return keras.Model(start, layers.Dense(12, activation=last, name="fc2")(x))


class Encoder(nn.Module):
    """Tokens, two blocks of attention and a perceptron, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(40, 12)
        for n in range(2):
            self.add_module(f"attn{n}", nn.MultiheadAttention(12, 3, batch_first=True))
            self.add_module(f"norm{n}", nn.LayerNorm(12))
            self.add_module(f"up{n}", nn.Linear(12, 12))
            self.add_module(f"down{n}", nn.Linear(12, 12))
            self.add_module(f"end{n}", nn.LayerNorm(12))
        self.head = nn.Linear(12, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        for n in range(2):
            attn, norm, up, down, end = (getattr(self, f"{k}{n}") for k in ("attn", "norm", "up", "down", "end"))
            x = norm(x + attn(x, x, x, need_weights=False)[0])
            x = end(x + down(F.gelu(up(x))))
        return self.head(x)


def exact_gelu(x: Any) -> Any:
    """Without the approximation."""
    return keras.activations.gelu(x, approximate=False)


def tanh_gelu(x: Any) -> Any:
    """With it."""
    return keras.activations.gelu(x, approximate=True)


def encoder(
    causal: bool = False,
    gelu: Callable[[Any], Any] | str = exact_gelu,
    epsilon: float = 1e-5,
    last: str | None = None,
    heads: int = 3,
    scale: float | None = None,
) -> Any:
    """The same in Keras."""
    start = keras.Input((7,), dtype="int32")
    x = layers.Embedding(40, 12, name="tokens")(start)
    if scale:
        x = layers.Rescaling(scale, name="scaled")(x)
    for n in range(2):
        attention = layers.MultiHeadAttention(heads if n else 3, 12 // (heads if n else 3), name=f"attn{n}")
        y = attention(x, x, use_causal_mask=causal and n == 1)
        x = layers.LayerNormalization(epsilon=epsilon if n else 1e-5, name=f"norm{n}")(layers.Add()([x, y]))
        y = layers.Dense(12, activation=gelu if n == 0 else exact_gelu, name=f"up{n}")(x)
        y = layers.Dense(12, name=f"down{n}")(y)
        x = layers.LayerNormalization(epsilon=1e-5, name=f"end{n}")(layers.Add()([x, y]))
    return keras.Model(start, layers.Dense(5, activation=last, name="head")(x))


class Recurrent(nn.Module):
    """Two GRUs, an LSTM and a linear layer, over sequences of 6 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.GRU(6, 6, batch_first=True), nn.GRU(6, 6, batch_first=True)
        self.lstm, self.mid, self.head = nn.LSTM(6, 6, batch_first=True), nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.lstm(self.two(self.one(x)[0])[0])[0]
        return self.head(torch.relu(self.mid(x)))


def recurrent(gate: str = "sigmoid", act: str = "tanh", mid: str = "relu", last: str | None = None) -> Any:
    """The same in Keras."""
    start = keras.Input((5, 6))
    x = layers.GRU(6, return_sequences=True, name="one")(start)
    x = layers.GRU(6, return_sequences=True, recurrent_activation=gate, name="two")(x)
    x = layers.LSTM(6, return_sequences=True, activation=act, name="lstm")(x)
    x = layers.Dense(6, activation=mid, name="mid")(x)
    return keras.Model(start, layers.Dense(6, activation=last, name="head")(x))


ACTIVATIONS = ("V301", "V305", "V302", "V706", "V707", "V708", "V110", "V711")
NETWORKS = {
    "images": Network(
        Residual,
        residual,
        {
            "stem": ("stem", "conv2d"),
            "stem_bn": ("stem_bn", "batch_normalization"),
            **{
                f"{kind}{n}": (f"{kind}{n}", layout)
                for n in range(3)
                for kind, layout in (("conv", "conv2d"), ("bn", "batch_normalization"))
            },
            "down": ("down", "conv2d"),
            "fc0": ("fc0", "dense_after_flatten"),
            "norm": ("norm", "layer_normalization"),
            "fc1": ("fc1", "dense"),
            "fc2": ("fc2", "dense"),
        },
        (
            Setting("epsilon", {"epsilon": 1e-2}, "stem_bn", ("V201",)),
            Setting("epsilon", {"norm_epsilon": 1e-2}, "norm", ("V201",)),
            Setting("activation", {"act": "relu"}, "act2", ACTIVATIONS),
            Setting("activation", {"act": "gelu"}, "act2", ACTIVATIONS),
            Setting("activation", {"slope": 0.3}, "leaky", ACTIVATIONS),
            Setting("activation", {"last": "softmax"}, "fc2", ACTIVATIONS),
            Setting("activation", {"last": "sigmoid"}, "fc2", ACTIVATIONS),
            Setting("activation", {"stem": "linear"}, "conv0", ACTIVATIONS, ("stem_act", "add0")),
            Setting("activation", {"fc1": "sigmoid"}, "fc1", ACTIVATIONS),
            Setting("padding", {"padded": False}, "down", ("V101",)),
            Setting("dilation", {"dilation": 2}, "conv1", ("V103", "V110")),
            Setting("input", {"rescale": True}, "rescale", ("V701", "V703", "V706")),
        ),
    ),
    "text": Network(
        Encoder,
        encoder,
        {
            "tokens": ("tokens", "embedding"),
            **{
                f"{kind}{n}": (f"{kind}{n}", layout)
                for n in range(2)
                for kind, layout in (
                    ("attn", "multi_head_attention"),
                    ("norm", "layer_normalization"),
                    ("up", "dense"),
                    ("down", "dense"),
                    ("end", "layer_normalization"),
                )
            },
            "head": ("head", "dense"),
        },
        (
            Setting("attention", {"causal": True}, "attn1", ("V502",)),
            Setting("attention", {"heads": 4}, "attn1", ("V504",)),
            Setting("activation", {"gelu": tanh_gelu}, "up0", ACTIVATIONS),
            Setting("activation", {"gelu": "relu"}, "up0", ACTIVATIONS),
            Setting("activation", {"last": "softmax"}, "head", ACTIVATIONS),
            Setting("epsilon", {"epsilon": 1e-2}, "norm1", ("V201",)),
            Setting("input", {"scale": 12**0.5}, "scaled", ("V703", "V706", "V709"), ("attn0",)),
        ),
    ),
    "recurrent": Network(
        Recurrent,
        recurrent,
        {
            "one": ("one", "gru"),
            "two": ("two", "gru"),
            "lstm": ("lstm", "lstm"),
            "mid": ("mid", "dense"),
            "head": ("head", "dense"),
        },
        (
            Setting("activation", {"gate": "hard_sigmoid"}, "two", ("V602",)),
            Setting("activation", {"act": "relu"}, "lstm", ("V601",)),
            Setting("activation", {"mid": "linear"}, "head", ACTIVATIONS, ("mid",)),
            Setting("activation", {"last": "tanh"}, "head", ACTIVATIONS),
        ),
    ),
}
