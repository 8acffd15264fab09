"""What a PyTorch module or function computes, in the vocabulary of both sides. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from remap.sides.operation import CHANNELS, CONVOLVING, POOLING, SAME, Operation, Pads, Settings, kept, per_axis
from remap.sides.vocabulary import torch_libraries

RMS_EPSILON = 2.0**-23
"""An RMSNorm's without one: the precision of float32."""
GATES = {
    Operation.LSTM: ("input", "forget", "cell", "output"),
    Operation.GRU: ("reset", "update", "new"),
    Operation.RNN: ("new",),
}
_ACTIVATIONS = {
    **{
        name: name
        for name in (
            *("relu", "relu6", "gelu", "silu", "mish", "elu", "selu", "celu", "leaky_relu", "sigmoid", "tanh"),
            *("softplus", "softsign", "log_sigmoid", "hardtanh", "prelu"),
        )
    },
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
}

_PAD_MODES_OF_CLASSES = {
    "Zero": "zeros",
    "Constant": "zeros",
    "Reflection": "reflect",
    "Replication": "replicate",
    "Circular": "circular",
}

_FUNCTIONS: dict[str, Operation] = {
    **{f"conv{n}d": Operation.CONVOLUTION for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": Operation.TRANSPOSED_CONVOLUTION for n in (1, 2, 3)},
    "convolution": Operation.CONVOLUTION,
    **{f"max_pool{n}d{more}": Operation.MAX_POOLING for n in (1, 2, 3) for more in ("", "_with_indices")},
    **{f"avg_pool{n}d": Operation.AVERAGE_POOLING for n in (1, 2, 3)},
    **{f"adaptive_{kind}_pool{n}d": Operation.ADAPTIVE_POOLING for n in (1, 2, 3) for kind in ("avg", "max")},
    **dict.fromkeys(_ACTIVATIONS, Operation.ACTIVATION),
    **dict.fromkeys(
        (
            *("interpolate", "upsample", "grid_sample", "upsample_nearest", "upsample_bilinear"),
            *(f"upsample_{mode}2d" for mode in ("nearest", "nearest_exact", "bilinear", "bicubic")),
        ),
        Operation.INTERPOLATION,
    ),
    **dict.fromkeys(("multi_head_attention", "scaled_dot_product_attention"), Operation.ATTENTION),
    **dict.fromkeys(("view", "reshape", "unflatten", "squeeze", "unsqueeze"), Operation.RESHAPE),
    **dict.fromkeys(("permute", "transpose", "t", "swapaxes", "movedim", "moveaxis"), Operation.PERMUTE),
    **dict.fromkeys(("cat", "concat", "concatenate"), Operation.CONCATENATE),
    **dict.fromkeys(("stack", "hstack", "vstack"), Operation.STACK),
    **dict.fromkeys(("chunk", "split", "tensor_split", "unbind"), Operation.SPLIT),
    **dict.fromkeys(("getitem", "select", "narrow", "slice"), Operation.SLICE),
    **dict.fromkeys(("add", "iadd", "radd"), Operation.ADD),
    **dict.fromkeys(("sub", "isub", "rsub", "subtract"), Operation.SUBTRACT),
    **dict.fromkeys(("mul", "imul", "rmul", "multiply"), Operation.MULTIPLY),
    **dict.fromkeys(("div", "truediv", "idiv", "itruediv", "divide", "true_divide"), Operation.DIVIDE),
    **dict.fromkeys(("matmul", "bmm", "mm", "baddbmm", "addmm", "rmatmul"), Operation.MATMUL),
    **dict.fromkeys(("batch_norm", "native_batch_norm"), Operation.BATCH_NORMALIZATION),
    **dict.fromkeys(("layer_norm", "native_layer_norm"), Operation.LAYER_NORMALIZATION),
    **dict.fromkeys(("group_norm", "native_group_norm"), Operation.GROUP_NORMALIZATION),
    "instance_norm": Operation.INSTANCE_NORMALIZATION,
    **dict.fromkeys(("rms_norm", "fused_rms_norm"), Operation.RMS_NORMALIZATION),
    "lstm": Operation.LSTM,
    "gru": Operation.GRU,
    "rnn": Operation.RNN,
    "linear": Operation.LINEAR,
    "embedding": Operation.EMBEDDING,
    "softmax": Operation.SOFTMAX,
    **dict.fromkeys(
        (
            *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"),
            *("feature_dropout", "feature_alpha_dropout", "native_dropout"),
        ),
        Operation.DROPOUT,
    ),
    "flatten": Operation.FLATTEN,
    "pad": Operation.PADDING,
    "pixel_shuffle": Operation.PIXEL_SHUFFLE,
    "maximum": Operation.MAXIMUM,
    "minimum": Operation.MINIMUM,
    "einsum": Operation.EINSUM,
    "mean": Operation.MEAN,
    "sum": Operation.SUM,
    "cos": Operation.COSINE,
    "sin": Operation.SINE,
}
"""By the name of the function, which a module's ``kind`` is too (:func:`remap.sides.torch.calls.kind_of`)."""

_CLASSES: dict[str, Operation] = {
    **{f"Adaptive{kind}Pool{n}d": Operation.ADAPTIVE_POOLING for n in (1, 2, 3) for kind in ("Avg", "Max")},
    **{f"{kind}Pad{n}d": Operation.PADDING for n in (1, 2, 3) for kind in _PAD_MODES_OF_CLASSES},
    "Identity": Operation.IDENTITY,
    "PixelShuffle": Operation.PIXEL_SHUFFLE,
    "Softmax2d": Operation.SOFTMAX,
    "Softsign": Operation.ACTIVATION,
}
"""By the name of a class, for modules that no function stands for."""

_KNOWN = _FUNCTIONS | _CLASSES


def described(class_names: Sequence[str], told: Settings) -> tuple[Operation, dict[str, Any]]:
    """Operation and settings of a module or function.

    Args:
        class_names: Names of a module's class and of its bases, the nearest first; of a function none.
        told: What PyTorch says of it: :func:`remap.sides.torch.calls.module_settings` or ``function_settings``.

    >>> told = {"kind": "conv2d", "kernel_size": [3, 3], "stride": 2, "padding": 1}
    >>> operation, settings = described(["Conv2d"], told)
    >>> operation.value, settings["stride"], settings["padding"]
    ('convolution', (2, 2), ((1, 1), (1, 1)))
    """
    name = next((known for known in (str(told.get("kind", "")), *class_names) if known in _KNOWN), "")
    operation = _KNOWN.get(name, Operation.OTHER)
    if operation is Operation.OTHER and torch_libraries.ATTENTION in "".join(class_names[:1]):
        operation = Operation.ATTENTION
    rank = _rank(name) or _listed(told)
    if rank is None and operation in (*CONVOLVING, *POOLING):
        operation = Operation.OTHER
    if operation is Operation.ADAPTIVE_POOLING and set(per_axis(told.get("output_size", 0), rank or 1)) == {1}:
        largest = "max" in name.lower()
        operation = Operation.GLOBAL_MAX_POOLING if largest else Operation.GLOBAL_AVERAGE_POOLING
    describe = _SETTINGS.get(operation)
    settings = describe(operation, name, told, rank) if describe is not None else {}
    return operation, kept(operation, {"rank": rank, **settings})


def _rank(name: str) -> int | None:
    """Spatial axes, as a name tells them: ``conv2d``, ``ZeroPad2d``, ``max_pool2d_with_indices``."""
    told = re.search(r"([123])d(?:_|$)", name)
    return int(told[1]) if told else None


def _listed(told: Settings) -> int | None:
    """Spatial axes, as the length of a stride tells them where the name of a function does not."""
    stride = told.get("stride")
    return len(stride) if isinstance(stride, list) else None


def _window(operation: Operation, kind: str, told: Settings, rank: int | None) -> dict[str, Any]:
    """Convolutions and poolings."""
    assert rank is not None, kind
    window = _axes(told, rank)
    mode = told.get("padding_mode")
    return {
        **window,
        "groups": told.get("groups", 1),
        "padding": _pads(told.get("padding", 0), window, rank),
        "padding_mode": mode if mode else "zeros",
        "ceil_mode": bool(told.get("ceil_mode", False)),
        "count_include_pad": bool(told.get("count_include_pad", True)),
    }


def _axes(told: Settings, rank: int) -> dict[str, Any]:
    """Kernel, stride and dilation; a function is not told its kernel's size."""
    window = {"stride": per_axis(told.get("stride", 1), rank), "dilation": per_axis(told.get("dilation", 1), rank)}
    return {**window, "kernel_size": per_axis(told["kernel_size"], rank)} if "kernel_size" in told else window


def _pads(padding: Any, window: Settings, rank: int) -> Pads | str | None:
    if padding == "dynamic":
        return SAME
    if padding == "valid":
        return ((0, 0),) * rank
    if padding == "same":
        if "kernel_size" not in window:
            return None
        totals = [(k - 1) * d for k, d in zip(window["kernel_size"], window["dilation"], strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return None if isinstance(padding, str) else tuple((p, p) for p in per_axis(padding, rank))


def _transposed(operation: Operation, kind: str, told: Settings, rank: int | None) -> dict[str, Any]:
    """``padding`` is taken off both ends, ``output_padding`` put back at the end."""
    assert rank is not None, kind
    padding, more = (per_axis(told.get(name, 0), rank) for name in ("padding", "output_padding"))
    crop = tuple((p, p - m) for p, m in zip(padding, more, strict=True))
    return {**_axes(told, rank), "groups": told.get("groups", 1), "crop": crop}


def given_padding(crop: Pads) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ``padding`` and ``output_padding`` of a transposed convolution that takes so much off its full output.

    >>> given_padding(((1, 0), (1, 1)))
    ((1, 1), (1, 0))
    """
    return tuple(before for before, _ in crop), tuple(before - after for before, after in crop)


def _padding(operation: Operation, kind: str, told: Settings, rank: int | None) -> dict[str, Any]:
    """``F.pad`` counts axes from the last; so do the modules, as :class:`torch.nn.ZeroPad2d`."""
    given = told.get("pad", told.get("padding"))
    of_class = next((mode for name, mode in _PAD_MODES_OF_CLASSES.items() if kind.startswith(name)), None)
    mode = of_class or {"constant": "zeros"}.get(told.get("mode", "constant"), told.get("mode"))
    value = told.get("value") if mode == "zeros" else None
    flat = list(given) if isinstance(given, list | tuple) else [given] * 2 * (rank or 0)
    pads = tuple(reversed(list(zip(flat[::2], flat[1::2], strict=False))))
    return {"padding": pads, "padding_mode": mode, "value": 0.0 if mode == "zeros" and value is None else value}


def _adaptive(operation: Operation, kind: str, told: Settings, rank: int | None) -> dict[str, Any]:
    size = told.get("output_size")
    return {"output_size": per_axis(size, rank) if size is not None and rank else size}


def _norm(operation: Operation, kind: str, told: Settings, rank: int | None) -> dict[str, Any]:
    epsilon = told.get("eps")
    if epsilon is None and operation is Operation.RMS_NORMALIZATION:
        epsilon = RMS_EPSILON
    groups = CHANNELS if operation is Operation.INSTANCE_NORMALIZATION else told.get("num_groups")
    of_batch = told.get("track_running_stats") is False
    return {"epsilon": None if epsilon is None else float(epsilon), "groups": groups, "batch_statistics": of_batch}


def _recurrent(operation: Operation, kind: str, told: Settings, rank: int | None) -> dict[str, Any]:
    gated = operation is not Operation.RNN
    return {
        "activation": "tanh" if gated else str(told.get("nonlinearity", "tanh")),
        "recurrent_activation": "sigmoid" if gated else None,
        "gate_order": GATES[operation],
        "reset_after": True if operation is Operation.GRU else None,
        "merge": "concat" if told.get("bidirectional") else None,
        "units": told.get("hidden_size"),
    }


def _attention(operation: Operation, kind: str, told: Settings, rank: int | None) -> dict[str, Any]:
    heads, scale = told.get("num_heads"), told.get(torch_libraries.SCALE)
    if not isinstance(scale, float):
        scale = told.get("scale")
    if scale is None and kind == "multi_head_attention" and heads:
        scale = (told["embed_dim"] / heads) ** -0.5
    rates = (told.get(name) for name in torch_libraries.DROPOUTS)
    rate = next((rate for rate in rates if isinstance(rate, int | float)), None)
    return {
        "heads": heads,
        "scale": float(scale) if isinstance(scale, int | float) else None,
        "causal": told.get("is_causal"),
        "dropout": rate,
        "active": True if told.get("training") else None,
    }


def _activation(operation: Operation, kind: str, told: Settings, rank: int | None) -> dict[str, Any]:
    function = _ACTIVATIONS.get(kind, kind.lower())
    return {
        "function": function,
        "approximate": told.get("approximate") == "tanh" if function == "gelu" else None,
        "slope": told.get("negative_slope") if function == "leaky_relu" else None,
        "alpha": told.get("alpha", 1.0) if function in ("elu", "celu") else None,
    }


def _interpolation(operation: Operation, kind: str, told: Settings, rank: int | None) -> dict[str, Any]:
    of_name = kind.removeprefix("upsample_").removesuffix("2d") if kind.startswith("upsample_") else "nearest"
    return {
        "mode": str(told.get("mode", of_name)),
        "align_corners": bool(told.get("align_corners")),
        "antialias": bool(told.get("antialias")),
    }


def _dropout(operation: Operation, kind: str, told: Settings, rank: int | None) -> dict[str, Any]:
    return {"rate": told.get("p", 0.0), "active": bool(told.get("training", False))}


_SETTINGS: dict[Operation, Callable[[Operation, str, Settings, int | None], dict[str, Any]]] = {
    **dict.fromkeys((Operation.CONVOLUTION, Operation.MAX_POOLING, Operation.AVERAGE_POOLING), _window),
    **dict.fromkeys(GATES, _recurrent),
    **{operation: _norm for name, operation in _FUNCTIONS.items() if name.endswith("_norm")},
    Operation.TRANSPOSED_CONVOLUTION: _transposed,
    Operation.PADDING: _padding,
    Operation.ADAPTIVE_POOLING: _adaptive,
    Operation.ATTENTION: _attention,
    Operation.ACTIVATION: _activation,
    Operation.INTERPOLATION: _interpolation,
    Operation.DROPOUT: _dropout,
}
