"""Small networks in which rules send weights of one shape into each other's places, and what verify must say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops
from torch import nn


@dataclass(frozen=True)
class Exchange:
    """Both networks, the rules that cross something, and what is to be said.

    Args:
        torch: Makes the PyTorch module.
        keras: Makes the Keras model.
        rules: Rows of the rule file: layout, pattern, target.
        layer: The layer that is named first.
        code: Code of the cause.
        told: What stands in the text, ``{n}`` being the line of the n-th row.
        further: Layers that are named behind it.
        extra: More of the rule file.
    """

    torch: Callable[[], nn.Module]
    keras: Callable[[], Any]
    rules: tuple[tuple[str, str, str], ...]
    layer: str
    code: str
    told: tuple[str, ...]
    further: tuple[str, ...] = ()
    extra: str = ""


def text_of(exchange):
    """The rule file, and the line of each row."""
    lines, rows = ["format = 1", "[batchnorm]", 'on_mismatch = "accept"'], []
    for layout, pattern, target in exchange.rules:
        lines.append("[[rename]]")
        rows.append(str(len(lines)))
        lines += [f"match = '{pattern}'", f"to = '{target}'"]
        lines += [f'layout = "{layout}"'] if layout else []
    counters = ["[[ignore]]", "match = '.*num_batches_tracked'", "reason = 'a counter'", "optional = true"]
    return "\n".join([*lines, *counters, exchange.extra]) + "\n", rows


class Chain(nn.Module):
    """Named modules one after the other."""

    def __init__(self, **modules):
        super().__init__()
        self.names = list(modules)
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        for name in self.names:
            x = getattr(self, name)(x)
        return x


def chain(shape, *inner):
    x = y = keras.Input(shape)
    for layer in inner:
        y = layer(y)
    return keras.Model(x, y)


def dense(*names, size=5, **settings):
    return [layers.Dense(size, name=name, **settings) for name in names]


def linear(*names, size=5):
    return {name: nn.Linear(size, size) for name in names}


def rows(layout, **targets):
    return tuple((layout, name, target) for name, target in targets.items())


class Blocks(nn.Module):
    """Blocks of a convolution and a normalisation."""

    def __init__(self, count=4):
        super().__init__()
        self.blocks = nn.ModuleList(
            Chain(conv=nn.Conv2d(3, 3, 3, padding=1), bn=nn.BatchNorm2d(3), relu=nn.ReLU()) for _ in range(count)
        )

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def blocks(count=4):
    inner = []
    for n in range(count):
        inner += [
            layers.Conv2D(3, 3, padding="same", name=f"conv{n}"),
            layers.BatchNormalization(epsilon=1e-5, name=f"bn{n}"),
            layers.ReLU(),
        ]
    return chain((8, 8, 3), *inner)


class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.item = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, user, item):
        return self.user(user) - self.item(item)


def tower(name):
    x = keras.Input((6,))
    return keras.Model(x, layers.Dense(4, name="fc")(x), name=name)


def towers():
    user, item = keras.Input((6,), name="user"), keras.Input((6,), name="item")
    return keras.Model([user, item], -(tower("item_tower")(item) - tower("user_tower")(user)))


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(5, 5) for _ in range(4))

    def forward(self, x):
        scores = (self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1)
        return self.o(scores @ self.v(x))


class Attention(layers.Layer):
    """Its products are no layers."""

    def __init__(self, **options):
        super().__init__(**options)
        self.q, self.k, self.v, self.o = dense(*"qkvo")

    def call(self, x):
        scores = ops.softmax(ops.matmul(self.q(x), ops.transpose(self.k(x), (0, 2, 1))))
        return self.o(ops.matmul(scores, self.v(x)))


def attention_of_layers():
    x = keras.Input((7, 5))
    q, k, v = (layer(x) for layer in dense("q", "k", "v"))
    scores = layers.Softmax(name="softmax")(layers.Dot((2, 2), name="scores")([q, k]))
    return keras.Model(x, dense("o")[0](layers.Dot((2, 1), name="mix")([scores, v])))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(5, 6, batch_first=True, bidirectional=True), nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def both_ways():
    rnn = layers.LSTM(6, return_sequences=True)
    return chain((7, 5), layers.Bidirectional(rnn, name="rnn"), layers.Dense(3, name="head"))


def direction(part, suffix, order=""):
    """The variables of one direction, tensor by tensor."""
    more = f", sizes = {{ gate = 4 }}, order = {{ gate = {order} }}" if order else ""
    one, two = ("(gate u) i -> i (gate u)", "(gate u) -> (gate u)") if order else ("g i -> i g", "g -> g")
    ends = {"kernel": ("weight_ih", one), "recurrent_kernel": ("weight_hh", one)}
    lines = [
        f'"{part}/lstm_cell/{end}" = {{ from = "{key}_l0{suffix}", axes = "{axes}"{more} }}'
        for end, (key, axes) in ends.items()
    ]
    bias = f'["bias_ih_l0{suffix}", "bias_hh_l0{suffix}"], reduce = "sum", axes = "{two}"{more}'
    return [*lines, f'"{part}/lstm_cell/bias" = {{ from = {bias} }}']


def bidirectional(forward, backward, order=""):
    body = [*direction("forward_lstm", forward, order), *direction("backward_lstm", backward, order)]
    return "[layouts.mine]\n" + "\n".join(body)


def two_directions():
    x = keras.Input((7, 5))
    one = layers.LSTM(6, return_sequences=True, name="fw")(x)
    other = layers.LSTM(6, return_sequences=True, go_backwards=True, name="bw")(x)
    y = layers.Concatenate()([one, ops.flip(other, 1)])
    return keras.Model(x, layers.Dense(3, name="head")(y))


class Tables(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other, self.head = nn.Embedding(9, 5), nn.Embedding(9, 5), nn.Linear(5, 3)

    def forward(self, one, other):
        return self.head(self.one(one) * self.other(other))


def tables():
    one, other = keras.Input((4,), dtype="int32", name="one_ids"), keras.Input((4,), dtype="int32", name="other_ids")
    made = [layers.Embedding(9, 5, name=n)(x) for n, x in (("one", one), ("other", other))]
    return keras.Model([one, other], layers.Dense(3, name="head")(layers.Multiply()(made)))


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.GRU(6, 6, batch_first=True), nn.GRU(6, 6, batch_first=True)

    def forward(self, x):
        return self.two(self.one(x)[0])[0]


BN = "[layouts.mine]\nmoving_mean = 'running_mean'\nbeta = 'bias'\nmoving_variance = 'running_var'\ngamma = 'weight'\n"
EXCHANGES = {
    "two linear layers": Exchange(
        lambda: Chain(**linear("a", "b", "c")),
        lambda: chain((5,), *dense("a", "b", "c")),
        rows("dense", a="b", b="a", c="c"),
        "a",
        "V408",
        ("rules.toml:{1} sends b to a; a computes what a does, which rules.toml:{0} sends to b",),
        ("b",),
    ),
    "three in a ring": Exchange(
        lambda: Chain(**linear("a", "b", "c")),
        lambda: chain((5,), *dense("a", "b", "c")),
        rows("dense", a="b", b="c", c="a"),
        "a",
        "V408",
        ("rules.toml:{2} sends c to a; a computes what a does, which rules.toml:{0} sends to b",),
        ("b", "c"),
    ),
    "a series that counts backwards": Exchange(
        Blocks,
        blocks,
        (("conv2d", r"blocks\.<n>\.conv", "conv{n}"), ("batch_normalization", r"blocks\.<n>\.bn", "bn{3-n}")),
        "bn0",
        "V408",
        ("rules.toml:{1} sends blocks.3.bn to bn0; bn0 computes what blocks.0.bn does",),
        ("bn1", "bn2", "bn3"),
    ),
    "two convolutions": Exchange(
        Blocks,
        blocks,
        (("conv2d", r"blocks\.<n>\.conv", "conv{(n+2)%4}"), ("batch_normalization", r"blocks\.<n>\.bn", "bn{n}")),
        "conv0",
        "V408",
        ("rules.toml:{0} sends blocks.2.conv to conv0; conv0 computes what blocks.0.conv does",),
    ),
    "two blocks": Exchange(
        lambda: Blocks(2),
        lambda: blocks(2),
        (("conv2d", r"blocks\.<n>\.conv", "conv{1-n}"), ("batch_normalization", r"blocks\.<n>\.bn", "bn{1-n}")),
        "conv0",
        "V408",
        ("rules.toml:{0} sends blocks.1.conv to conv0",),
        ("bn0", "conv1", "bn1"),
    ),
    "biases": Exchange(
        lambda: Chain(**linear("a", "b")),
        lambda: chain((5,), *dense("a", "b")),
        (*(("", rf"{n}\.bias", f"{m}/bias") for n, m in ("ab", "ba")), *(("k", n, n) for n in "ab")),
        "a",
        "V409",
        ("rules.toml:{1} sends b.bias to a/bias, which wants a.bias; rules.toml:{0} sends that to b/bias",),
        (),
        "[layouts.k]\nkernel = { from = 'weight', axes = 'o i -> i o' }",
    ),
    "slopes": Exchange(
        lambda: Chain(a=nn.Linear(5, 5), p=nn.PReLU(5), b=nn.Linear(5, 5), r=nn.PReLU(5), c=nn.Linear(5, 5)),
        lambda: chain((5,), *dense("a"), layers.PReLU(name="p"), *dense("b"), layers.PReLU(name="r"), *dense("c")),
        (*rows("dense", a="a", b="b", c="c"), *rows("mine", p="r", r="p")),
        "p",
        "V408",
        ("rules.toml:{4} sends r to p; p computes what p does",),
        ("r",),
        "[layouts.mine]\nalpha = 'weight'",
    ),
    "statistics of another layer": Exchange(
        lambda: Blocks(2),
        lambda: blocks(2),
        (
            ("conv2d", r"blocks\.<n>\.conv", "conv{n}"),
            ("mine", r"blocks\.<n>\.bn", "bn{n}"),
            ("", r"blocks\.<n>\.bn\.running_mean", "bn{1-n}/moving_mean"),
        ),
        "bn0",
        "V409",
        ("rules.toml:{2} sends blocks.1.bn.running_mean to bn0/moving_mean",),
        ("bn1",),
        BN.replace("moving_mean = 'running_mean'\n", ""),
    ),
    "query and key inside of a layer": Exchange(
        Attends,
        lambda: chain((7, 5), Attention(name="att")),
        rows("dense", q="att/k", k="att/q", v="att/v", o="att/o"),
        "att/q",
        "V411",
        ("rules.toml:{0} sends q to att/k",),
    ),
    "query and key as layers": Exchange(
        Attends,
        attention_of_layers,
        rows("dense", q="k", k="q", v="v", o="o"),
        "q",
        "V411",
        ("rules.toml:{0} sends q to k",),
    ),
    "query and value as layers": Exchange(
        Attends,
        attention_of_layers,
        rows("dense", q="v", k="k", v="q", o="o"),
        "q",
        "V411",
        ("rules.toml:{0} sends q to v",),
    ),
    "directions inside of a Bidirectional": Exchange(
        Recurrent,
        both_ways,
        (("mine", "rnn", "rnn"), ("dense", "head", "head")),
        "rnn",
        "V410",
        ("rules.toml:{0} sends", "to forward_lstm of rnn"),
        (),
        bidirectional("_reverse", ""),
    ),
    "gates inside of a Bidirectional": Exchange(
        Recurrent,
        both_ways,
        (("mine", "rnn", "rnn"), ("dense", "head", "head")),
        "rnn",
        "V605",
        (),
        (),
        bidirectional("", "_reverse", "[0, 2, 1, 3]"),
    ),
    "directions as two layers": Exchange(
        Recurrent,
        two_directions,
        (("mine", "rnn", "bw"), ("other", "rnn", "fw"), ("dense", "head", "head")),
        "bw",
        "V408",
        ("rules.toml:{0} sends rnn.weight_ih_l0,",),
        ("fw",),
        "\n".join(
            [
                "[layouts.mine]",
                *(line.replace("part/", "") for line in direction("part", "")),
                "[layouts.other]",
                *(line.replace("part/", "") for line in direction("part", "_reverse")),
            ]
        ),
    ),
    "two towers": Exchange(
        Towers,
        towers,
        rows("dense", user="fc", item="fc#2"),
        "fc",
        "V408",
        ("rules.toml:{0} sends user to fc; fc computes what item does, which rules.toml:{1} sends to fc#2",),
        ("fc#2",),
    ),
    "two tables": Exchange(
        Tables,
        tables,
        (*rows("embedding", one="other", other="one"), ("dense", "head", "head")),
        "other",
        "V408",
        ("rules.toml:{0} sends one to other; other computes what other does",),
        ("one",),
    ),
    "two layers of a GRU": Exchange(
        Deep,
        lambda: chain((7, 6), *(layers.GRU(6, return_sequences=True, name=n) for n in ("g0", "g1"))),
        (("gru", "one", "g1"), ("gru", "two", "g0")),
        "g0",
        "V408",
        ("rules.toml:{1} sends two to g0; g0 computes what one does",),
        ("g1",),
    ),
    "two layer normalisations": Exchange(
        lambda: Chain(a=nn.Linear(5, 5), n=nn.LayerNorm(5), b=nn.Linear(5, 5), m=nn.LayerNorm(5)),
        lambda: chain(
            (5,),
            *dense("a"),
            layers.LayerNormalization(epsilon=1e-5, name="n"),
            *dense("b"),
            layers.LayerNormalization(epsilon=1e-5, name="m"),
        ),
        (*rows("dense", a="a", b="b"), *rows("layer_normalization", n="m", m="n")),
        "n",
        "V408",
        ("rules.toml:{3} sends m to n; n computes what n does",),
        ("m",),
    ),
    "and an activation that is missing": Exchange(
        lambda: Chain(a=nn.Linear(5, 5), b=nn.Linear(5, 5), t=nn.Tanh(), c=nn.Linear(5, 5)),
        lambda: chain((5,), *dense("a", "b", "c")),
        rows("dense", a="b", b="a", c="c"),
        "a",
        "V408",
        ("rules.toml:{1} sends b to a",),
        ("b", "c"),
    ),
}
