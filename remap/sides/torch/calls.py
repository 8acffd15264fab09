"""What a PyTorch module or function is set to, in one vocabulary for both. Imports no torch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from remap.sides.vocabulary import torch_libraries

SETTINGS = (
    *("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode", "output_padding"),
    *("eps", "num_groups", "normalized_shape", "track_running_stats"),
    *("approximate", "negative_slope", "alpha", "beta", "threshold", "lambd", "dim", "min_val", "max_val"),
    *("ceil_mode", "count_include_pad", "divisor_override", "output_size"),
    *("mode", "align_corners", "scale_factor", "size"),
    *("start_dim", "end_dim", "p", "training", "inplace", "upscale_factor"),
    *("num_heads", "embed_dim", "batch_first", "bidirectional", "num_layers", "hidden_size", "nonlinearity"),
    *("is_causal", "scale", "scaling", "dropout_p", "dropout", "attention_dropout", "attn_dropout", "pad", "value"),
)
"""Attributes of modules, and arguments of functions, that a port must meet."""

_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_CONV_TRANSPOSE = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVG_POOL = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")

ARGUMENTS: dict[str, tuple[str, ...]] = {
    **{f"conv{n}d": _CONV for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _CONV_TRANSPOSE for n in (1, 2, 3)},
    **{f"max_pool{n}d": _POOL for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _AVG_POOL for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": ("input", "output_size") for n in (1, 2, 3)},
    "gelu": ("input", "approximate"),
    "leaky_relu": ("input", "negative_slope"),
    "softmax": ("input", "dim"),
    "flatten": ("input", "start_dim", "end_dim"),
    "scaled_dot_product_attention": ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale"),
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
    "dropout": ("input", "p", "training"),
    "pad": ("input", "pad", "mode", "value"),
    "pixel_shuffle": ("input", "upscale_factor"),
}
"""Order of the arguments of functions that have no signature Python could ask for."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "gelu": {"approximate": "none"},
    "leaky_relu": {"negative_slope": 0.01},
    "flatten": {"start_dim": 0, "end_dim": -1},
    "scaled_dot_product_attention": {"is_causal": False, "scale": None},
    **{f"conv{n}d": {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} for n in (1, 2, 3)},
    **{f"max_pool{n}d": {"padding": 0, "dilation": 1, "ceil_mode": False} for n in (1, 2, 3)},
    **{f"avg_pool{n}d": {"padding": 0, "ceil_mode": False, "count_include_pad": True} for n in (1, 2, 3)},
}
"""What those functions take where an argument is left out."""

_MODULE_KINDS = {
    "Conv1d": "conv1d",
    "Conv2d": "conv2d",
    "Conv3d": "conv3d",
    "ConvTranspose1d": "conv_transpose1d",
    "ConvTranspose2d": "conv_transpose2d",
    "ConvTranspose3d": "conv_transpose3d",
    "MaxPool1d": "max_pool1d",
    "MaxPool2d": "max_pool2d",
    "MaxPool3d": "max_pool3d",
    "AvgPool1d": "avg_pool1d",
    "AvgPool2d": "avg_pool2d",
    "AvgPool3d": "avg_pool3d",
    "LayerNorm": "layer_norm",
    "GroupNorm": "group_norm",
    "RMSNorm": "rms_norm",
    "Upsample": "interpolate",
    "UpsamplingBilinear2d": "interpolate",
    "UpsamplingNearest2d": "interpolate",
    "Linear": "linear",
    "LSTM": "lstm",
    "GRU": "gru",
    "RNN": "rnn",
    "MultiheadAttention": "multi_head_attention",
    "GELU": "gelu",
    "Flatten": "flatten",
    "Dropout": "dropout",
    "Dropout1d": "dropout",
    "Dropout2d": "dropout",
    "Dropout3d": "dropout",
    "Hardswish": "hardswish",
    "Embedding": "embedding",
    "ReLU": "relu",
    "ReLU6": "relu6",
    "SiLU": "silu",
    "Mish": "mish",
    "ELU": "elu",
    "SELU": "selu",
    "LeakyReLU": "leaky_relu",
    "Hardsigmoid": "hardsigmoid",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softmax": "softmax",
}


def kind_of(names: Sequence[str]) -> str:
    """The function that a module computes, from the names of its class and its bases; ``""`` if unknown.

    >>> kind_of(["Conv2dSame", "Conv2d", "_ConvNd", "Module"]), kind_of(["Qwen3RMSNorm", "Module"])
    ('conv2d', 'rms_norm')
    """
    for name in names:
        if name in _MODULE_KINDS:
            return _MODULE_KINDS[name]
        if "BatchNorm" in name or name.startswith("InstanceNorm"):
            return "batch_norm" if "BatchNorm" in name else "instance_norm"
        if name.endswith(torch_libraries.RMS_ENDINGS):
            return "rms_norm"
    return ""


def class_names(module: Any) -> list[str]:
    """Names of a module's class and of its bases, the nearest first."""
    return [base.__name__ for base in type(module).__mro__]


def module_settings(module: Any) -> dict[str, Any]:
    """What a module is set to, and under ``kind`` what it computes."""
    told = {key: plain(getattr(module, key)) for key in SETTINGS if hasattr(module, key)}
    names = class_names(module)
    kind = kind_of(names)
    if kind:
        told["kind"] = kind
    for name in torch_libraries.EPSILONS:
        if hasattr(module, name):
            told["eps"] = plain(getattr(module, name))
    if "padding" in told and not set(names).isdisjoint(torch_libraries.SAME_PADDING):
        told["padding"] = "dynamic"
    return {key: value for key, value in told.items() if value is not None or key in ("eps", "align_corners")}


def function_settings(name: str, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a function was called with, tensors left out.

    >>> function_settings("max_pool2d", None, (None, 3, 2, 1), {})["stride"]
    2
    """
    bound = dict(DEFAULTS.get(name, {}))
    names = ARGUMENTS.get(name)
    if names is None:
        try:
            signature = inspect.signature(function)
            names = tuple(signature.parameters)
            bound = {key: entry.default for key, entry in signature.parameters.items() if key in SETTINGS}
        except (TypeError, ValueError):
            names = ()
    bound |= dict(zip(names, args, strict=False)) | kwargs
    told = {key: plain(value) for key, value in bound.items() if key in SETTINGS}
    if name.startswith("conv") and hasattr(bound.get("weight"), "shape"):
        told["kernel_size"] = list(bound["weight"].shape[2:])
    if name.startswith(("max_pool", "avg_pool")):
        told["stride"] = told.get("stride") or told.get("kernel_size")
    if "attn_mask" in bound:
        told["mask"] = bound["attn_mask"] is not None
    return {"kind": name, **{key: value for key, value in told.items() if value is not None}}


def function_name(function: Any) -> str:
    """Plain name of a function: ``_max_pool2d`` and ``max_pool2d`` are one, ``relu_`` writes in place."""
    return str(getattr(function, "__name__", type(function).__name__)).strip("_")


def plain(value: Any) -> Any:
    """A setting as JSON holds it; None for what is none of its kinds."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        items = [plain(item) for item in value]
        return None if any(item is None for item in items) else items
    return None


def is_operation(module: Any) -> bool:
    """Whether a module is one operation of torch's own: what it does inside is not looked at."""
    kind = type(module)
    return kind.__module__.startswith("torch.nn.modules") and not kind.__module__.endswith(("container", "transformer"))
