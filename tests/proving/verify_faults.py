"""One fault each, in small networks: how to seed it, the layer it sits in, and its cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
from keras import layers
from torch import nn
from verify_networks import (
    CNN_RULES,
    Always,
    TorchCNN,
    grouped,
    keras_cnn,
    keras_grouped,
    keras_pooled,
    pooled,
    rules_text,
)
from verify_sequences import (
    ENCODER_RULES,
    TorchEncoder,
    TorchFlat,
    TorchMHA,
    TorchRNN,
    TorchShared,
    TorchShuffle,
    Unscaled,
    keras_flat,
    keras_mha,
    keras_rnn,
    keras_shared,
    keras_shuffle,
    subclassed,
)


@dataclass(frozen=True)
class Fault:
    """What is wrong, and what verify must say of it."""

    torch: Callable[[], nn.Module]
    keras: Callable[[], Any]
    rules: str
    layer: str
    cause: str
    blame: str = "model"


def tanh_gelu(x):
    return keras.activations.gelu(x, approximate=True)


def cnn(layer, cause, torch=None, **options):
    return Fault(partial(TorchCNN, **(torch or {})), partial(keras_cnn, **options), rules_text(CNN_RULES), layer, cause)


def cnn_layout(module, body, layer, cause, extra=""):
    """The CNN with one module moved by a layout that puts its numbers elsewhere."""
    rules = rules_text({**CNN_RULES, module: (module, "mine")}, f"[layouts.mine]\n{body}\n{extra}")
    return Fault(TorchCNN, keras_cnn, rules, layer, cause, "weights")


def encoder(layer, cause, torch=None, **options):
    rules = rules_text(ENCODER_RULES, ignore=False)
    return Fault(partial(TorchEncoder, **(torch or {})), partial(subclassed, **options), rules, layer, cause)


def attention(layer, cause, torch=None, **options):
    rules = rules_text({"attn": ("attn", "multi_head_attention"), "head": ("head", "dense")}, ignore=False)
    return Fault(partial(TorchMHA, **(torch or {})), partial(keras_mha, **options), rules, layer, cause)


def recurrent(kind, keras_kind, body):
    rules = rules_text({"rnn": ("rnn", "mine"), "head": ("head", "dense")}, f"[layouts.mine]\n{body}\n", ignore=False)
    return Fault(partial(TorchRNN, kind), partial(keras_rnn, keras_kind), rules, "rnn", "gate order", "weights")


def pooling(cause, torch_kind, torch_settings, keras_kind, **settings):
    rules = rules_text({"conv": ("conv", "conv2d"), "head": ("head", "dense")}, ignore=False)
    net = partial(pooled, torch_kind, **torch_settings)
    return Fault(net, partial(keras_pooled, keras_kind, **settings), rules, "pool", cause)


def preprocessed():
    rescale = layers.Rescaling(1 / 255, name="rescale")
    normalise = layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3], name="normalise")
    return keras_cnn(preprocess=[rescale, normalise])


GATES = 'axes = "(gate u) i -> i (gate u)", order = { gate = [0, 2, 1, 3] }'
BIAS_GATES = 'axes = "(gate u) -> (gate u)", order = { gate = [0, 2, 1, 3] }'
KEPT = """[[keep]]
match = 'bn2/moving.*'
reason = "forgotten"
[[ignore]]
match = 'bn2.running.*'
reason = "forgotten"
"""

SHUFFLED = 'conv2d_before_depth_to_space"\nsizes = { c = 2 }\n#"'
DIRECTIONS = """[[rename]]
match = 'rnn'
to = 'rnn/{directions[reverse]}'
layout = "lstm"
[tables.directions]
"" = "forward_inner"
_reverse = "backward_inner"
"""

FAULTS = {
    # the model computes something else
    "same padding at stride 2": cnn("stem", "padding", stem="same"),
    "same padding of a pooling": cnn("pool", "padding", pool="same"),
    "stride on another convolution": cnn("stem", "stride", stem_stride=1, conv2_stride=2),
    "dilation": cnn("conv3", "dilation", dilation=1),
    "padding mode": cnn("conv2", "padding mode", torch={"padding_mode": "reflect"}),
    "batch norm epsilon": cnn("bn1", "epsilon", bn_epsilon=1e-3),
    "layer norm epsilon": cnn("norm", "epsilon", norm_epsilon=1e-3),
    "gelu tanh against erf": cnn("conv3", "gelu tanh against erf", act3=tanh_gelu),
    "another activation in a layer": cnn("conv3", "activation", act3="silu"),
    "slope of a leaky relu": cnn("act1", "activation", act1="leaky_relu"),
    "form of hard-swish": cnn("act2", "hard-swish form", act2="old"),
    "activation left out": cnn("pool", "missing relu", act1="linear"),
    "softmax at the end": cnn("fc3", "extra activation", last="softmax"),
    "mean over padding": cnn("avg", "count_include_pad", avg="same"),
    "aligned corners": cnn("up", "align_corners", torch={"align_corners": True}),
    "bicubic interpolation with another coefficient": cnn(
        "up", "bicubic coefficient", torch={"upsample": "bicubic"}, interpolation="bicubic"
    ),
    "bicubic interpolation with aligned corners": cnn(
        "up",
        "align_corners and bicubic coefficient",
        torch={"upsample": "bicubic", "align_corners": True},
        interpolation="bicubic",
    ),
    "bicubic against bilinear": cnn("up", "interpolation", torch={"upsample": "bicubic"}),
    "nearest neighbours": cnn("up", "interpolation", interpolation="nearest"),
    "preprocessing inside of Keras": Fault(
        TorchCNN, preprocessed, rules_text(CNN_RULES), "rescale", "input normalised inside"
    ),
    "preprocessing inside of PyTorch": cnn("stem", "input not normalised inside", torch={"normalise": True}),
    "dropout on in Keras": cnn("drop", "dropout left on", dropout=Always),
    "attention scale, written out": encoder("out", "attention scale", scale=1.0),
    "attention mask, written out": encoder("out", "attention mask", torch={"causal": True}),
    "causal mask too much": encoder("out", "attention mask", causal=True),
    "gelu in a subclassed model": encoder("down", "gelu tanh against erf", gelu=tanh_gelu),
    "embedding scale": encoder("q", "scale", torch={"embedding_scale": 12**0.5}),
    "attention scale of a layer": attention("attn", "attention scale", kind=Unscaled),
    "attention mask of a layer": attention("attn", "attention mask", torch={"causal": True}),
    "second call of a shared layer": Fault(
        TorchShared,
        partial(keras_shared, "tanh"),
        rules_text({"fc": ("fc", "dense"), "head": ("head", "dense")}, ignore=False),
        "again",
        "activation",
    ),
    "ceil_mode": pooling(
        "ceil_mode", nn.MaxPool2d, {"kernel_size": 2, "ceil_mode": True}, layers.MaxPooling2D, pool_size=2
    ),
    "ceil_mode of a mean": pooling(
        "ceil_mode", nn.AvgPool2d, {"kernel_size": 2, "ceil_mode": True}, layers.AveragePooling2D, pool_size=2
    ),
    "zeros before a maximum": pooling(
        "padding value",
        nn.MaxPool2d,
        {"kernel_size": 3, "stride": 2, "padding": 1},
        layers.MaxPooling2D,
        pad=1,
        pool_size=3,
        strides=2,
    ),
    "stride of a pooling": pooling(
        "stride", nn.MaxPool2d, {"kernel_size": 3, "stride": 2}, layers.MaxPooling2D, pool_size=3, strides=1
    ),
    # the numbers are not where they belong
    "flatten order": Fault(
        TorchCNN, keras_cnn, rules_text({**CNN_RULES, "fc1": ("fc1", "dense")}), "fc1", "flatten order", "weights"
    ),
    "height and width exchanged": cnn_layout(
        "conv2", 'kernel = { from = "weight", axes = "o i h w -> w h i o" }\nbias = "bias"', "conv2", "transposition"
    ),
    "inputs and outputs exchanged": cnn_layout(
        "conv2", 'kernel = { from = "weight", axes = "o i h w -> h w o i" }\nbias = "bias"', "conv2", "transposition"
    ),
    "square matrix not transposed": cnn_layout(
        "fc2", 'kernel = { from = "weight", axes = "o i -> o i" }\nbias = "bias"', "fc2", "transposition"
    ),
    "groups": Fault(
        grouped,
        keras_grouped,
        rules_text(
            {"0": ("conv", "mine"), "2": ("fc", "dense_after_flatten")},
            """[layouts.mine]
kernel = { from = "weight", axes = "o i h w -> h w (g i) o", repeat = ["g"], sizes = { g = 2 } }
bias = "bias"
""",
            ignore=False,
        ),
        "conv",
        "groups",
    ),
    "kernel flipped": cnn_layout(
        "conv2",
        'kernel = { from = "weight", axes = "o i h w -> h w i o", flip = ["h", "w"] }\nbias = "bias"',
        "conv2",
        "flip",
    ),
    "statistics exchanged": cnn_layout(
        "bn2",
        'gamma = "weight"\nbeta = "bias"\nmoving_mean = "running_var"\nmoving_variance = "running_mean"',
        "bn2",
        "statistics exchanged",
    ),
    "gamma and beta exchanged": cnn_layout(
        "bn2",
        'gamma = "bias"\nbeta = "weight"\nmoving_mean = "running_mean"\nmoving_variance = "running_var"',
        "bn2",
        "weights exchanged",
    ),
    "statistics not loaded": cnn_layout("bn2", 'gamma = "weight"\nbeta = "bias"', "bn2", "statistics not loaded", KEPT),
    "gates of a GRU not reordered": recurrent(
        nn.GRU,
        layers.GRU,
        """"gru_cell/kernel" = { from = 'weight_ih_l0', axes = "g i -> i g" }
"gru_cell/recurrent_kernel" = { from = 'weight_hh_l0', axes = "g i -> i g" }
"gru_cell/bias" = { from = ['bias_ih_l0', 'bias_hh_l0'] }""",
    ),
    "gates of an LSTM reordered": recurrent(
        nn.LSTM,
        layers.LSTM,
        f""""lstm_cell/kernel" = {{ from = 'weight_ih_l0', {GATES} }}
"lstm_cell/recurrent_kernel" = {{ from = 'weight_hh_l0', {GATES} }}
"lstm_cell/bias" = {{ from = ['bias_ih_l0', 'bias_hh_l0'], reduce = "sum", {BIAS_GATES} }}""",
    ),
}

RIGHT = {
    "cnn": Fault(TorchCNN, keras_cnn, rules_text(CNN_RULES), "", ""),
    "encoder": encoder("", ""),
    "attention": attention("", ""),
    "causal attention": attention("", "", torch={"causal": True}, causal=True),
    "shared layer": Fault(
        TorchShared, keras_shared, rules_text({"fc": ("fc", "dense"), "head": ("head", "dense")}, ignore=False), "", ""
    ),
    "lstm": Fault(
        TorchRNN, keras_rnn, rules_text({"rnn": ("rnn", "lstm"), "head": ("head", "dense")}, ignore=False), "", ""
    ),
    "both directions": Fault(
        partial(TorchRNN, bidirectional=True),
        partial(keras_rnn, bidirectional=True),
        rules_text({"head": ("head", "dense")}, DIRECTIONS, ignore=False),
        "",
        "",
    ),
    "batch norm after a flatten": Fault(
        TorchFlat,
        keras_flat,
        rules_text(
            {
                "conv": ("conv", "conv2d"),
                "bn": ("bn", "batch_normalization_after_flatten"),
                "head": ("head", "dense_after_flatten"),
            }
        ),
        "",
        "",
    ),
    "pixel shuffle": Fault(
        TorchShuffle,
        keras_shuffle,
        rules_text({"conv": ("conv", SHUFFLED), "head": ("head", "conv2d")}, ignore=False),
        "",
        "",
    ),
    "gru": Fault(
        partial(TorchRNN, nn.GRU),
        partial(keras_rnn, layers.GRU),
        rules_text({"rnn": ("rnn", "gru"), "head": ("head", "dense")}, ignore=False),
        "",
        "",
    ),
}
