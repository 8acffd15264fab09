"""What a Keras layer, or an operation of a graph, computes, in the vocabulary of both sides. Imports no Keras.

What it is, its family tells: the nearest class of Keras's own that its class is made from. How its class is called says
nothing: a ``ConvLSTM2D`` is no convolution, and a user's ``Conv2DSomething`` is what its ancestors are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from remap.inventory.inventory import Layer
from remap.sides.operation import CHANNELS, SAME, Operation, Pads, Settings, kept, per_axis
from remap.sides.vocabulary import keras_hub

GATES = {
    Operation.LSTM: ("input", "forget", "cell", "output"),
    Operation.CONVOLUTIONAL_LSTM: ("input", "forget", "cell", "output"),
    Operation.GRU: ("update", "reset", "new"),
    Operation.RNN: ("new",),
}
_RANKS = (1, 2, 3)
_FAMILIES: dict[str, Operation] = {
    **{f"{kind}{n}D": Operation.CONVOLUTION for n in _RANKS for kind in ("Conv", "DepthwiseConv")},
    **{f"SeparableConv{n}D": Operation.SEPARABLE_CONVOLUTION for n in _RANKS},
    **{f"Conv{n}DTranspose": Operation.TRANSPOSED_CONVOLUTION for n in _RANKS},
    **{f"ConvLSTM{n}D": Operation.CONVOLUTIONAL_LSTM for n in _RANKS},
    **{f"MaxPooling{n}D": Operation.MAX_POOLING for n in _RANKS},
    **{f"AveragePooling{n}D": Operation.AVERAGE_POOLING for n in _RANKS},
    **{f"GlobalMaxPooling{n}D": Operation.GLOBAL_MAX_POOLING for n in _RANKS},
    **{f"GlobalAveragePooling{n}D": Operation.GLOBAL_AVERAGE_POOLING for n in _RANKS},
    **{f"Adaptive{kind}Pooling{n}D": Operation.ADAPTIVE_POOLING for n in _RANKS for kind in ("Average", "Max")},
    **{f"ZeroPadding{n}D": Operation.PADDING for n in _RANKS},
    **{f"Cropping{n}D": Operation.CROPPING for n in _RANKS},
    **{f"UpSampling{n}D": Operation.INTERPOLATION for n in _RANKS},
    **{f"SpatialDropout{n}D": Operation.DROPOUT for n in _RANKS},
    **dict.fromkeys(("Resizing", "Resize"), Operation.INTERPOLATION),
    **dict.fromkeys(("Dropout", "GaussianDropout", "AlphaDropout"), Operation.DROPOUT),
    **dict.fromkeys(("BatchNormalization", "SyncBatchNormalization"), Operation.BATCH_NORMALIZATION),
    "LayerNormalization": Operation.LAYER_NORMALIZATION,
    "GroupNormalization": Operation.GROUP_NORMALIZATION,
    "RMSNormalization": Operation.RMS_NORMALIZATION,
    **dict.fromkeys(("LSTM", "LSTMCell"), Operation.LSTM),
    **dict.fromkeys(("GRU", "GRUCell"), Operation.GRU),
    **dict.fromkeys(("SimpleRNN", "SimpleRNNCell"), Operation.RNN),
    **dict.fromkeys(
        ("MultiHeadAttention", "GroupedQueryAttention", "Attention", "DotProductAttention"), Operation.ATTENTION
    ),
    **dict.fromkeys(("Dense", "EinsumDense"), Operation.LINEAR),
    **dict.fromkeys(("Embedding", "ReversibleEmbedding"), Operation.EMBEDDING),
    **dict.fromkeys(
        (
            *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU"),
            *("Relu", "Relu6", "Gelu", "Silu", "Sigmoid", "Tanh", "Elu", "Selu", "LeakyRelu", "HardSigmoid"),
            *("HardSilu", "Softplus", "Softsign", "Mish"),
        ),
        Operation.ACTIVATION,
    ),
    "Softmax": Operation.SOFTMAX,
    "Reshape": Operation.RESHAPE,
    **dict.fromkeys(("Permute", "Transpose", "Moveaxis", "Swapaxes"), Operation.PERMUTE),
    "Flatten": Operation.FLATTEN,
    "Concatenate": Operation.CONCATENATE,
    "Stack": Operation.STACK,
    "Split": Operation.SPLIT,
    "GetItem": Operation.SLICE,
    "Add": Operation.ADD,
    "Subtract": Operation.SUBTRACT,
    "Multiply": Operation.MULTIPLY,
    **dict.fromkeys(("Divide", "TrueDivide"), Operation.DIVIDE),
    "Maximum": Operation.MAXIMUM,
    "Minimum": Operation.MINIMUM,
    "Matmul": Operation.MATMUL,
    "Einsum": Operation.EINSUM,
    "Mean": Operation.MEAN,
    "Sum": Operation.SUM,
    "Cos": Operation.COSINE,
    "Sin": Operation.SINE,
    "GaussianNoise": Operation.NOISE,
    "Rescaling": Operation.RESCALING,
    "Normalization": Operation.INPUT_NORMALIZATION,
    "Identity": Operation.IDENTITY,
}
_RANK_OF = {family: rank for family in _FAMILIES for rank in _RANKS if f"{rank}D" in family}
_DEPTHWISE = {f"DepthwiseConv{rank}D" for rank in _RANKS}
_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        name: (name, {})
        for name in (
            *("relu", "relu6", "silu", "mish", "selu", "sigmoid", "tanh", "softplus", "softsign", "celu"),
            *("hard_sigmoid", "hard_swish", "log_sigmoid", "exponential"),
        )
    },
    "swish": ("silu", {}),
    "hard_silu": ("hard_swish", {}),
    "elu": ("elu", {"alpha": 1.0}),
    "gelu": ("gelu", {"approximate": False}),
    "leaky_relu": ("leaky_relu", {"slope": 0.2}),
    **keras_hub.ACTIVATIONS,
}
"""Activations by the names of their functions."""


def operation_of(family: str) -> Operation:
    """The operation of a family."""
    return _FAMILIES.get(family) or keras_hub.OPERATIONS.get(family) or Operation.OTHER


def described(family: str, told: Settings) -> tuple[Operation, dict[str, Any]]:
    """Operation and settings of a layer, or of an operation of a graph.

    Args:
        family: Its :func:`family_of`.
        told: What Keras says of it: :func:`remap.sides.keras.layers.settings_of`.

    >>> told = {"kernel_size": [3, 3], "strides": [2, 2], "padding": "same", "dilation_rate": [1, 1]}
    >>> operation, settings = described("Conv2D", told)
    >>> operation.value, settings["stride"], settings["padding"]
    ('convolution', (2, 2), 'same')
    """
    operation = operation_of(family)
    describe = _SETTINGS.get(operation)
    rank = _RANK_OF.get(family)
    settings = describe(operation, family, told, rank) if describe is not None else {}
    return operation, kept(operation, {"rank": rank, "activation": told.get("activation"), **settings})


def described_layer(layer: Layer) -> tuple[Operation, dict[str, Any]]:
    """Operation and settings of a layer of an inventory."""
    return described(layer.family or layer.class_name, layer.settings)


def activation(name: str) -> tuple[Operation, dict[str, Any]]:
    """Operation and settings of an activation, by the name of its function."""
    if name == "softmax":
        return Operation.SOFTMAX, {}
    function, settings = _ACTIVATIONS.get(name, (name, {}))
    return Operation.ACTIVATION, {"function": function, **settings}


def pairs(value: Any) -> Pads:
    """The padding or cropping of a Keras layer as one pair for each spatial axis.

    >>> pairs([1, 2]), pairs([[0, 1], [2, 3]])
    (((1, 2),), ((0, 1), (2, 3)))
    """
    entries = list(value or [])
    nested = entries if entries and isinstance(entries[0], list | tuple) else [entries]
    return tuple((int(a), int(b)) for a, b in nested)


def _axes(told: Settings, rank: int) -> dict[str, Any]:
    return {
        "kernel_size": per_axis(told.get("kernel_size", told.get("pool_size", 1)), rank),
        "stride": per_axis(told.get("strides", 1), rank),
        "dilation": per_axis(told.get("dilation_rate", 1), rank),
    }


def _window(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    """Convolutions and poolings."""
    assert rank is not None, family
    window = _axes(told, rank)
    padding: Any = told.get("padding", "valid")
    if padding == "causal":
        padding = tuple(((k - 1) * d, 0) for k, d in zip(window["kernel_size"], window["dilation"], strict=True))
    elif padding != SAME:
        padding = ((0, 0),) * rank
    each = operation is Operation.SEPARABLE_CONVOLUTION or family in _DEPTHWISE
    return {
        **window,
        "padding": padding,
        "padding_mode": "zeros",
        "groups": CHANNELS if each else told.get("groups", 1),
        "ceil_mode": False,
        "count_include_pad": False,
    }


def _transposed(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    """What is taken off each end of the full output on TensorFlow and JAX."""
    assert rank is not None, family
    window, same, given = _axes(told, rank), told.get("padding") == "same", told.get("output_padding")
    more: Sequence[int | None] = per_axis(given, rank) if given is not None else (None,) * rank
    crops = []
    for k, s, d, m in zip(window["kernel_size"], window["stride"], window["dilation"], more, strict=True):
        reach = (k - 1) * d + 1
        total = reach - max(reach, s)
        if same:
            total = reach - s if m is None else 2 * (k // 2) - m
        elif m is not None:
            total = -m
        before = max(total, 0) // 2 if same else 0
        crops.append((before, total - before))
    return {**window, "groups": told.get("groups", 1), "crop": tuple(crops)}


def _padding(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    return {"padding": pairs(told.get("padding")), "padding_mode": "zeros", "value": 0.0}


def _cropping(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    return {"crop": pairs(told.get("cropping"))}


def _adaptive(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    size = told.get("output_size")
    return {"output_size": per_axis(size, rank) if size is not None and rank else None}


def _norm(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    epsilon = told.get("epsilon")
    return {
        "epsilon": float(epsilon) if isinstance(epsilon, int | float) else None,
        "groups": CHANNELS if told.get("groups") == -1 else told.get("groups"),
        "batch_statistics": False,
    }


def _recurrent(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    return {**told, "gate_order": GATES[operation]}


def _attention(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    heads, size = told.get("num_heads", told.get("num_query_heads")), told.get("key_dim", told.get("head_dim"))
    causal = next((told[name] for name in keras_hub.CAUSAL if isinstance(told.get(name), bool)), None)
    rate = told.get("dropout")
    return {
        "heads": heads,
        "scale": float(size) ** -0.5 if isinstance(size, int) and heads is not None else None,
        "causal": causal,
        "dropout": rate if isinstance(rate, int | float) else None,
    }


def _activation(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    if family == "Activation":
        return activation(str(told.get("activation", "linear")))[1]
    slope, alpha = told.get("negative_slope"), told.get("alpha")
    if family == "ReLU":
        most = told.get("max_value")
        plain = {"slope": slope or None, "max_value": most, "function": "leaky_relu" if slope else "relu"}
        return plain if most != 6 or slope else {"function": "relu6"}
    if family in ("LeakyReLU", "LeakyRelu"):
        return {"function": "leaky_relu", "slope": slope if slope is not None else alpha}
    if family in ("ELU", "Elu"):
        return {"function": "elu", "alpha": 1.0 if alpha is None else float(alpha)}
    if family == "Gelu":
        return {"function": "gelu", "approximate": bool(told.get("approximate", True))}
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in family).strip("_")
    return {**activation(name)[1], **({"slope": slope} if slope is not None else {})}


def _interpolation(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    mode = str(told.get("interpolation", "bilinear" if family == "Resizing" else "nearest"))
    return {"mode": mode, "align_corners": False, "antialias": bool(told.get("antialias"))}


def _dropout(operation: Operation, family: str, told: Settings, rank: int | None) -> dict[str, Any]:
    return {"rate": told.get("rate"), "active": bool(told.get("training", False))}


_SETTINGS: dict[Operation, Callable[[Operation, str, Settings, int | None], dict[str, Any]]] = {
    **dict.fromkeys(
        (
            *(Operation.CONVOLUTION, Operation.SEPARABLE_CONVOLUTION),
            *(Operation.MAX_POOLING, Operation.AVERAGE_POOLING),
        ),
        _window,
    ),
    **dict.fromkeys(GATES, _recurrent),
    **dict.fromkeys(
        (
            *(Operation.BATCH_NORMALIZATION, Operation.LAYER_NORMALIZATION),
            *(Operation.GROUP_NORMALIZATION, Operation.RMS_NORMALIZATION),
        ),
        _norm,
    ),
    Operation.TRANSPOSED_CONVOLUTION: _transposed,
    Operation.PADDING: _padding,
    Operation.CROPPING: _cropping,
    Operation.ADAPTIVE_POOLING: _adaptive,
    Operation.ATTENTION: _attention,
    Operation.ACTIVATION: _activation,
    Operation.INTERPOLATION: _interpolation,
    Operation.DROPOUT: _dropout,
}
