"""What a call computes, in one vocabulary for PyTorch and Keras: an operation and its settings.

Sizes, strides and the like are tuples with a number for each spatial axis; padding, crops are tuples with a pair
``(before, after)`` for each. A setting that nothing tells is left out. Axes are not held: the two sides lay out
tensors differently. Nor is what matters in training alone, as the momentum of a batch normalisation.

=================================  =====================================================================================
operation                          settings
=================================  =====================================================================================
``convolution``,                   ``rank`` (spatial axes), ``kernel_size``, ``stride``, ``dilation``, ``groups`` (a
``separable_convolution``          number, or ``channels`` where it is one for each), ``padding`` (pairs, or ``same``:
                                   what TensorFlow needs for the size at hand), ``padding_mode`` (``zeros``,
                                   ``reflect``, ``replicate``, ``circular``), ``activation`` where it ends in one
``transposed_convolution``         ``rank``, ``kernel_size``, ``stride``, ``dilation``, ``groups``, ``crop`` (pairs:
                                   what is taken off each end of the full output; less than 0 where some is added),
                                   ``activation`` where it ends in one
``max_pooling``                    ``rank``, ``kernel_size``, ``stride``, ``dilation``, ``padding``, ``ceil_mode``
``average_pooling``                the same, and ``count_include_pad``
``global_max_pooling``,            ``rank``
``global_average_pooling``
``adaptive_pooling``               ``rank``, ``output_size``
``padding``                        ``padding`` (pairs, spatial axes alone), ``padding_mode``, ``value``
``cropping``                       ``crop`` (pairs)
``batch_normalization``            ``epsilon``, ``batch_statistics`` (of each batch, rather than stored ones)
``layer_normalization``            ``epsilon``
``rms_normalization``              ``epsilon``
``group_normalization``            ``epsilon``, ``groups``
``instance_normalization``         ``epsilon``, ``groups`` (``channels``)
``lstm``, ``gru``, ``rnn``,        ``activation``, ``recurrent_activation``, ``gate_order`` (words, in the order of the
``convolutional_lstm``             weights), ``reset_after``, ``merge`` (how directions are joined), ``units``
``attention``                      ``heads``, ``scale`` (of the scores), ``causal``, ``dropout``, ``active`` (drops in
                                   inference mode too)
``activation``                     ``function`` (``relu``, ``gelu`` ...), and what sets it: ``approximate``, ``slope``,
                                   ``alpha``, ``max_value``
``softmax``                        none
``interpolation``                  ``mode`` (``nearest``, ``bilinear``, ``bicubic``), ``align_corners``, ``antialias``
``dropout``                        ``rate``, ``active`` (drops in inference mode too)
``linear``                         ``activation`` where it ends in one
``embedding``, ``add`` ...         none
=================================  =====================================================================================

Where each side's names become these: :mod:`remap.sides.torch.operations`, :mod:`remap.sides.keras.operations`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import isclose
from typing import Any

Settings = Mapping[str, Any]
Pads = tuple[tuple[int, int], ...]
SAME = "same"
"""Padding by the size at hand, as TensorFlow does it."""
CHANNELS = "channels"
"""As many groups as there are channels."""


class Operation(StrEnum):
    """What a module, layer or function computes."""

    CONVOLUTION = "convolution"
    SEPARABLE_CONVOLUTION = "separable_convolution"
    TRANSPOSED_CONVOLUTION = "transposed_convolution"
    LINEAR = "linear"
    EMBEDDING = "embedding"
    MAX_POOLING = "max_pooling"
    AVERAGE_POOLING = "average_pooling"
    GLOBAL_MAX_POOLING = "global_max_pooling"
    GLOBAL_AVERAGE_POOLING = "global_average_pooling"
    ADAPTIVE_POOLING = "adaptive_pooling"
    PADDING = "padding"
    CROPPING = "cropping"
    BATCH_NORMALIZATION = "batch_normalization"
    LAYER_NORMALIZATION = "layer_normalization"
    GROUP_NORMALIZATION = "group_normalization"
    INSTANCE_NORMALIZATION = "instance_normalization"
    RMS_NORMALIZATION = "rms_normalization"
    LSTM = "lstm"
    GRU = "gru"
    RNN = "rnn"
    CONVOLUTIONAL_LSTM = "convolutional_lstm"
    ATTENTION = "attention"
    ACTIVATION = "activation"
    SOFTMAX = "softmax"
    INTERPOLATION = "interpolation"
    DROPOUT = "dropout"
    NOISE = "noise"
    RESHAPE = "reshape"
    PERMUTE = "permute"
    FLATTEN = "flatten"
    CONCATENATE = "concatenate"
    STACK = "stack"
    SPLIT = "split"
    SLICE = "slice"
    PIXEL_SHUFFLE = "pixel_shuffle"
    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    DIVIDE = "divide"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    MATMUL = "matmul"
    EINSUM = "einsum"
    MEAN = "mean"
    SUM = "sum"
    COSINE = "cosine"
    SINE = "sine"
    RESCALING = "rescaling"
    INPUT_NORMALIZATION = "input_normalization"
    IDENTITY = "identity"
    OTHER = "other"


_WINDOW = ("rank", "kernel_size", "stride", "dilation")
_RECURRENT = ("activation", "recurrent_activation", "gate_order", "reset_after", "merge", "units")
_CONVOLUTION = (*_WINDOW, "groups", "padding", "padding_mode", "activation")
SETTINGS: dict[Operation, tuple[str, ...]] = {
    Operation.CONVOLUTION: _CONVOLUTION,
    Operation.SEPARABLE_CONVOLUTION: _CONVOLUTION,
    Operation.TRANSPOSED_CONVOLUTION: (*_WINDOW, "groups", "crop", "activation"),
    Operation.LINEAR: ("activation",),
    Operation.MAX_POOLING: (*_WINDOW, "padding", "ceil_mode"),
    Operation.AVERAGE_POOLING: (*_WINDOW, "padding", "ceil_mode", "count_include_pad"),
    Operation.GLOBAL_MAX_POOLING: ("rank",),
    Operation.GLOBAL_AVERAGE_POOLING: ("rank",),
    Operation.ADAPTIVE_POOLING: ("rank", "output_size"),
    Operation.PADDING: ("padding", "padding_mode", "value"),
    Operation.CROPPING: ("crop",),
    Operation.BATCH_NORMALIZATION: ("epsilon", "batch_statistics"),
    Operation.LAYER_NORMALIZATION: ("epsilon",),
    Operation.GROUP_NORMALIZATION: ("epsilon", "groups"),
    Operation.INSTANCE_NORMALIZATION: ("epsilon", "groups"),
    Operation.RMS_NORMALIZATION: ("epsilon",),
    Operation.LSTM: _RECURRENT,
    Operation.GRU: _RECURRENT,
    Operation.RNN: _RECURRENT,
    Operation.CONVOLUTIONAL_LSTM: _RECURRENT,
    Operation.ATTENTION: ("heads", "scale", "causal", "dropout", "active"),
    Operation.ACTIVATION: ("function", "approximate", "slope", "alpha", "max_value"),
    Operation.INTERPOLATION: ("mode", "align_corners", "antialias"),
    Operation.DROPOUT: ("rate", "active"),
}
"""The settings that an operation can have; none where it is not listed."""

WINDOWED = (Operation.CONVOLUTION, Operation.SEPARABLE_CONVOLUTION, Operation.MAX_POOLING, Operation.AVERAGE_POOLING)
"""Operations that slide a window over an input that may be padded."""
POOLING = (Operation.MAX_POOLING, Operation.AVERAGE_POOLING)
CONVOLVING = (Operation.CONVOLUTION, Operation.SEPARABLE_CONVOLUTION, Operation.TRANSPOSED_CONVOLUTION)
NORMALISING = (
    Operation.BATCH_NORMALIZATION,
    Operation.LAYER_NORMALIZATION,
    Operation.GROUP_NORMALIZATION,
    Operation.INSTANCE_NORMALIZATION,
    Operation.RMS_NORMALIZATION,
)
RECURRENT = (Operation.LSTM, Operation.GRU, Operation.RNN)


def kept(operation: Operation, settings: Settings) -> dict[str, Any]:
    """The settings that an operation has, without those that nothing tells.

    >>> kept(Operation.DROPOUT, {"rate": 0.1, "active": None, "axis": 1})
    {'rate': 0.1}
    """
    return {name: settings[name] for name in SETTINGS.get(operation, ()) if settings.get(name) is not None}


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    """A number or a list of numbers, as one for each spatial axis.

    >>> per_axis(2, 2), per_axis([1, 2], 2), per_axis([3], 2)
    ((2, 2), (1, 2), (3, 3))
    """
    values = list(value) if isinstance(value, list | tuple) else [value]
    return tuple(int(v) for v in (values * rank if len(values) == 1 else values))


def same_pads(sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Pads:
    """What TensorFlow's ``same`` pads: the odd one out goes to the end.

    >>> same_pads((8, 9), (3, 3), (2, 2), (1, 1))
    ((0, 1), (1, 1))
    """
    pads = []
    for n, k, s, d in zip(sizes, kernel, strides, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


def settled_pads(settings: Settings, sizes: Sequence[int | None] | None = None) -> Pads | None:
    """What a windowed operation pads on an input; None where that depends on sizes that are not known.

    Args:
        settings: Its settings.
        sizes: Spatial sizes of the input, None where open.

    >>> settled_pads({"padding": "same", "kernel_size": (1,), "stride": (2,), "dilation": (1,)})
    ((0, 0),)
    """
    padding = settings.get("padding")
    if padding != SAME:
        return padding
    if "kernel_size" not in settings:
        return None
    pads: list[tuple[int, int]] = []
    for axis, (k, s, d) in enumerate(
        zip(settings["kernel_size"], settings["stride"], settings["dilation"], strict=True)
    ):
        size = sizes[axis] if sizes is not None and axis < len(sizes) else None
        if size is None and k > 1 and s > 1:
            return None
        pads += same_pads([size or 1], [k], [s], [d]) if s > 1 else [_unstrided((k - 1) * d)]
    return tuple(pads)


def added_pads(one: Pads, other: Pads) -> Pads:
    """What two paddings, or two crops, make together.

    >>> added_pads(((0, 1), (0, 1)), ((1, 1), (1, 1)))
    ((1, 2), (1, 2))
    """
    return tuple((a + c, b + d) for (a, b), (c, d) in zip(one, other, strict=True))


def _unstrided(reach: int) -> tuple[int, int]:
    """What keeps a size at stride 1."""
    return reach // 2, reach - reach // 2


def same_numbers(one: Sequence[Any], other: Sequence[Any], neutral: Any = 1) -> bool:
    """Whether two settings agree that have one entry an axis: an axis that one lacks does nothing there.

    >>> same_numbers((4, 1), (4,)), same_numbers((2, 2), (2,))
    (True, False)
    """
    longest = max(len(one), len(other))
    return [*one, *[neutral] * (longest - len(one))] == [*other, *[neutral] * (longest - len(other))]


def same_constant(one: float, other: float) -> bool:
    """Whether two numbers are one as far as float32 tells them apart, in which frameworks hold them.

    >>> same_constant(0.001, 0.0010000000474974513), same_constant(1e-5, 1.1e-5)
    (True, False)
    """
    return isclose(one, other, rel_tol=2.0**-23)


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Two numbers in words, with as many digits as show that they differ.

    >>> told_apart(1e-5, 1e-3), told_apart(0.001, 0.00100001)
    (('1e-05', '0.001'), ('0.001', '0.00100001'))
    """
    for digits in range(6, 17):
        words = f"{one:.{digits}g}", f"{other:.{digits}g}"
        if words[0] != words[1]:
            break
    return words
