"""More single faults: recurrent layers, transposed convolutions, normalisations, attention, rules that are wrong."""

from __future__ import annotations

from functools import partial

import keras
from keras import layers
from torch import nn
from verify_faults import Fault
from verify_more_networks import (
    TorchAct,
    TorchMasked,
    TorchNorm,
    TorchRMS,
    TorchUp,
    TorchWritten,
    keras_act,
    keras_masked,
    keras_norm,
    keras_rms,
    keras_up,
    written,
)
from verify_networks import rules_text
from verify_sequences import TorchMHA, TorchRNN, keras_mha, keras_rnn

HEAD = {"head": ("head", "dense")}


def transposed(cause, torch, rank=2, **settings):
    rules = rules_text({"up": ("up", f"conv{rank}d_transpose"), "head": ("head", f"conv{rank}d")}, ignore=False)
    return Fault(partial(TorchUp, rank, **torch), partial(keras_up, rank, **settings), rules, "up", cause)


def norm(cause, torch, keras_kind, layout, extra="", blame="model", **settings):
    rules = rules_text({"conv": ("conv", "conv2d"), "norm": ("norm", layout), "head": ("head", "conv2d")}, extra)
    return Fault(partial(TorchNorm, *torch), partial(keras_norm, keras_kind, **settings), rules, "norm", cause, blame)


def recurrent(cause, kind, keras_kind, layout="", body="", blame="model", torch=None, **settings):
    extra = f"[layouts.mine]\n{body}\n" if body else ""
    rules = rules_text({"rnn": ("rnn", layout or "mine"), **HEAD}, extra, ignore=False)
    if settings.get("bidirectional"):
        rules = rules_text(HEAD, DIRECTIONS, ignore=False)
    net = partial(TorchRNN, kind, **{"bidirectional": settings.get("bidirectional", False), **(torch or {})})
    return Fault(net, partial(keras_rnn, keras_kind, **settings), rules, "rnn", cause, blame)


def attention(cause, body="", blame="model", torch=TorchMHA, **settings):
    layout, extra = ("mine", f"[layouts.mine]\n{body}\n") if body else ("multi_head_attention", "")
    rules = rules_text({"attn": ("attn", layout), **HEAD}, extra, ignore=False)
    return Fault(torch, partial(keras_mha, **settings), rules, "attn", cause, blame)


def spelled_out(cause, rules=None, torch=None, blame="model", layer="out", **settings):
    rules = {**{name: (name, "dense") for name in ("q", "k", "v", "out")}, **(rules or {})}
    text = rules_text(rules, ignore=False)
    return Fault(partial(TorchWritten, **(torch or {})), partial(written, **settings), text, layer, cause, blame)


def activation(layer, cause, torch, act):
    rules = rules_text({"up": ("up", "dense"), **HEAD}, ignore=False)
    return Fault(lambda: TorchAct(torch()), lambda: keras_act(act()), rules, layer, cause)


def old_hard_sigmoid(x):
    return keras.ops.clip(0.2 * x + 0.5, 0, 1)


def in_proj(axes, order=(0, 1, 2)):
    """A layout of MultiheadAttention with the axes of each part, and the parts in an order."""
    lines = []
    for name, place in zip(("query", "key", "value"), order, strict=True):
        take = f"sizes = {{ qkv = 3, h = 3 }}, take = {{ qkv = {place} }}"
        lines.append(f'"{name}/kernel" = {{ from = "in_proj_weight", axes = "(qkv {axes}) e -> qkv e h d", {take} }}')
        lines.append(f'"{name}/bias" = {{ from = "in_proj_bias", axes = "(qkv {axes}) -> qkv h d", {take} }}')
    return "\n".join([*lines, OUT_PROJ.replace("AXES", "h d")])


OUT_PROJ = """"attention_output/kernel" = { from = 'out_proj\\.weight', axes = "e (AXES) -> h d e", sizes = { h = 3 } }
"attention_output/bias" = 'out_proj\\.bias'"""
DIRECTIONS = """[[rename]]
match = 'rnn'
to = 'rnn/{directions[reverse]}'
layout = "lstm"
[tables.directions]
"" = "forward_inner"
_reverse = "backward_inner"
"""
GRU = 'axes = "(gate u) i -> i (gate u)", order = { gate = [1, 0, 2] }'
GRU_KERNELS = f""""gru_cell/kernel" = {{ from = 'weight_ih_l0', {GRU} }}
"gru_cell/recurrent_kernel" = {{ from = 'weight_hh_l0', {GRU} }}"""
GRU_BIAS = 'axes = "{0}(gate u) -> {0}(gate u)", order = {{ gate = [1, 0, 2] }}'
LSTM_KERNELS = """"lstm_cell/kernel" = { from = 'weight_ih_l0', axes = "g i -> i g" }
"lstm_cell/recurrent_kernel" = { from = 'weight_hh_l0', axes = "g i -> i g" }"""
ONE_BIAS = "\n[[ignore]]\nmatch = 'rnn.bias_hh_l0'\nreason = \"forgotten\""
NO_BIAS = (
    '\n[[ignore]]\nmatch = "conv.bias"\nreason = "forgotten"\n[[keep]]\nmatch = "conv/bias"\nreason = "forgotten"\n'
)
KEPT = "[layouts.mine]\ngamma = 'weight'\nbeta = 'bias'\n[[keep]]\nmatch = 'norm/moving.*'\nreason = 'there are none'\n"
TWO, ONE = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}, {"kernel_size": 3, "strides": 2}

MORE_FAULTS = {
    # transposed convolutions
    "same padding of a transposed convolution": transposed("padding", TWO, padding="same", **ONE),
    "padding left out of a transposed convolution": transposed("padding", TWO, **ONE),
    "output_padding left out": transposed("output_padding", TWO, crop=1, **ONE),
    "output_padding of a sequence": transposed("output_padding", TWO, rank=1, crop=1, **ONE),
    "stride of a transposed convolution": transposed(
        "stride", {"kernel_size": 3, "stride": 2}, kernel_size=3, strides=3
    ),
    "dilation of a transposed convolution": transposed("dilation", {"kernel_size": 3, "dilation": 2}, kernel_size=3),
    "dilation and padding of a transposed convolution": transposed(
        "dilation and padding", {"kernel_size": 3, "dilation": 2, "padding": 2}, kernel_size=3, padding="same"
    ),
    "dilation of a transposed convolution of a sequence": transposed(
        "dilation", {"kernel_size": 3}, rank=1, kernel_size=3, dilation_rate=2
    ),
    # normalisations
    "groups of a group norm": norm(
        "groups", (nn.GroupNorm, 3, 6), layers.GroupNormalization, "group_normalization", groups=2, epsilon=1e-5
    ),
    "epsilon of a group norm": norm(
        "epsilon", (nn.GroupNorm, 3, 6), layers.GroupNormalization, "group_normalization", groups=3
    ),
    "groups and epsilon": norm(
        "groups and epsilon", (nn.GroupNorm, 3, 6), layers.GroupNormalization, "group_normalization", groups=2
    ),
    "an instance norm as a layer over all channels": norm(
        "groups",
        (nn.InstanceNorm2d, 6, 1e-5, 0.1, True),
        layers.GroupNormalization,
        "group_normalization",
        groups=1,
        epsilon=1e-5,
    ),
    "statistics of each batch": norm(
        "batch statistics",
        (nn.BatchNorm2d, 6, 1e-5, 0.1, True, False),
        layers.BatchNormalization,
        "mine",
        KEPT,
        epsilon=1e-5,
    ),
    "epsilon of an RMS norm": Fault(
        partial(TorchRMS, 1e-2),
        partial(keras_rms, 1e-6),
        rules_text({"up": ("up", "dense"), "norm": ("norm", "rms_normalization"), **HEAD}, ignore=False),
        "norm",
        "epsilon",
    ),
    "scale and offset exchanged": norm(
        "weights exchanged",
        (nn.GroupNorm, 3, 6),
        layers.GroupNormalization,
        "mine",
        "[layouts.mine]\ngamma = 'bias'\nbeta = 'weight'\n",
        "weights",
        groups=3,
        epsilon=1e-5,
    ),
    # inside of recurrent layers
    "activation of an LSTM": recurrent("activation", nn.LSTM, layers.LSTM, "lstm", activation="softsign"),
    "recurrent activation of an LSTM": recurrent(
        "recurrent activation", nn.LSTM, layers.LSTM, "lstm", recurrent_activation="hard_sigmoid"
    ),
    "recurrent activation of a GRU": recurrent(
        "recurrent activation", nn.GRU, layers.GRU, "gru", recurrent_activation="hard_sigmoid"
    ),
    "both activations, in both directions": recurrent(
        "activation and recurrent activation",
        nn.LSTM,
        layers.LSTM,
        bidirectional=True,
        activation="relu",
        recurrent_activation="hard_sigmoid",
    ),
    "nonlinearity of a plain RNN": recurrent(
        "activation", nn.RNN, layers.SimpleRNN, "simple_rnn", torch={"nonlinearity": "relu"}
    ),
    "reset before the product": recurrent(
        "reset_after", nn.GRU, layers.GRU, body=GRU_KERNELS, torch={"bias": False}, reset_after=False, use_bias=False
    ),
    "reset before the product, with a bias": recurrent(
        "reset_after",
        nn.GRU,
        layers.GRU,
        reset_after=False,
        body=f"""{GRU_KERNELS}
"gru_cell/bias" = {{ from = ['bias_ih_l0', 'bias_hh_l0'], reduce = "sum", {GRU_BIAS.format("")} }}""",
    ),
    # attention
    "mask of an attention": attention("attention mask", torch=partial(TorchMasked)),
    "mask of padding": attention("attention mask", torch=partial(TorchMasked, padding=True)),
    "another mask": Fault(
        TorchMHA,
        keras_masked,
        rules_text({"attn": ("attn", "multi_head_attention"), **HEAD}, ignore=False),
        "attn",
        "attention mask",
    ),
    "number of heads": attention("heads", in_proj("h d").replace("h = 3", "h = 4"), heads=4),
    "mask given to the function": spelled_out("attention mask", torch={"masked": True}),
    "number of heads, written out": spelled_out("heads", heads=2),
    "heads interleaved, written out": spelled_out("heads", interleaved=True),
    # activations
    "form of a hard sigmoid": activation(
        "activation", "hard-sigmoid form", nn.Hardsigmoid, lambda: layers.Activation(old_hard_sigmoid)
    ),
    "slope that is no usual one": activation(
        "leak", "activation", partial(nn.LeakyReLU, 0.17), lambda: layers.LeakyReLU(0.05, name="leak")
    ),
    "gelu's form, the other way": activation(
        "act", "gelu tanh against erf", partial(nn.GELU, "tanh"), lambda: layers.Activation("gelu", name="act")
    ),
    # the numbers are not where they belong
    "biases of a GRU exchanged": recurrent(
        "bias order",
        nn.GRU,
        layers.GRU,
        blame="weights",
        body=f"""{GRU_KERNELS}
"gru_cell/bias" = {{ from = ['bias_hh_l0', 'bias_ih_l0'], {GRU_BIAS.format("side ")} }}""",
    ),
    "one bias of an LSTM left out": recurrent(
        "bias left out",
        nn.LSTM,
        layers.LSTM,
        blame="weights",
        body=f"{LSTM_KERNELS}\n\"lstm_cell/bias\" = 'bias_ih_l0'{ONE_BIAS}",
    ),
    "query and key exchanged": attention("query, key, value exchanged", in_proj("h d", (1, 0, 2)), "weights"),
    "query, key and value in another order": attention(
        "query, key, value exchanged", in_proj("h d", (2, 0, 1)), "weights"
    ),
    "heads split wrongly": attention("heads", in_proj("d h")),
    "heads split and joined wrongly": attention("heads", in_proj("d h").replace('"e (h d)', '"e (d h)')),
    "query and key exchanged, written out": spelled_out(
        "layers beside one another exchanged", {"q": ("k", "dense"), "k": ("q", "dense")}, blame="weights", layer="q"
    ),
    "key and value exchanged, written out": spelled_out(
        "layers beside one another exchanged", {"v": ("k", "dense"), "k": ("v", "dense")}, blame="weights", layer="k"
    ),
    "bias not loaded": Fault(
        partial(TorchNorm, nn.GroupNorm, 3, 6),
        partial(keras_norm, layers.GroupNormalization, groups=3, epsilon=1e-5),
        rules_text(
            {"conv": ("conv", "mine"), "norm": ("norm", "group_normalization"), "head": ("head", "conv2d")},
            '[layouts.mine]\nkernel = { from = "weight", axes = "o i h w -> h w i o" }\n' + NO_BIAS,
        ),
        "conv",
        "bias not loaded",
        "weights",
    ),
}

MORE_RIGHT = {
    "transposed, cropped on both sides": transposed("", TWO | {"output_padding": 0}, crop=1, **ONE),
    "transposed, cropped on one side": transposed("", TWO, crop=((1, 0), (1, 0)), **ONE),
    "transposed, same": transposed(
        "", {"kernel_size": 4, "stride": 2, "padding": 1}, kernel_size=4, strides=2, padding="same"
    ),
    "transposed, dilated": transposed("", {"kernel_size": 3, "dilation": 2}, kernel_size=3, dilation_rate=2),
    "group norm": norm(
        "", (nn.GroupNorm, 3, 6), layers.GroupNormalization, "group_normalization", groups=3, epsilon=1e-5
    ),
    "instance norm": norm(
        "",
        (nn.InstanceNorm2d, 6, 1e-5, 0.1, True),
        layers.GroupNormalization,
        "group_normalization",
        groups=-1,
        epsilon=1e-5,
    ),
    "a mask": Fault(
        TorchMasked, keras_masked, rules_text({"attn": ("attn", "multi_head_attention"), **HEAD}, ignore=False), "", ""
    ),
    "written out": spelled_out(""),
    "slope": activation("", "", partial(nn.LeakyReLU, 0.17), lambda: layers.LeakyReLU(0.17)),
}
