"""Windows, paddings and epsilons, read from what each framework says of its calls in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from remap.sides.operation import Pads, Settings, per_axis, same_pads


def keras_window(settings: Settings, rank: int) -> dict[str, tuple[int, ...]]:
    """Kernel, stride and dilation of a Keras convolution or pooling."""
    kernel = settings.get("kernel_size", settings.get("pool_size", 1))
    return {
        "kernel": per_axis(kernel, rank),
        "strides": per_axis(settings.get("strides", 1), rank),
        "dilation": per_axis(settings.get("dilation_rate", 1), rank),
    }


def torch_window(settings: Settings, rank: int) -> dict[str, tuple[int, ...]]:
    """Kernel, stride and dilation of a PyTorch convolution or pooling; the kernel is 1 where nothing tells."""
    return {
        "kernel": per_axis(settings.get("kernel_size", 1), rank),
        "strides": per_axis(settings.get("stride", 1), rank),
        "dilation": per_axis(settings.get("dilation", 1), rank),
    }


def torch_pads(settings: Settings, rank: int) -> Pads | None:
    """What a PyTorch convolution or pooling pads on each side; None where the module does not tell."""
    padding = settings.get("padding", 0)
    window = torch_window(settings, rank)
    if padding == "valid":
        return ((0, 0),) * rank
    if padding == "same":
        totals = [(k - 1) * d for k, d in zip(window["kernel"], window["dilation"], strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, str):
        return None
    return tuple((p, p) for p in per_axis(padding, rank))


def keras_pads(settings: Settings, sizes: Sequence[int]) -> Pads:
    """What a Keras convolution or pooling pads by itself on inputs of the given spatial sizes."""
    rank = len(sizes)
    window = keras_window(settings, rank)
    padding = settings.get("padding", "valid")
    if padding == "same":
        return same_pads(sizes, window["kernel"], window["strides"], window["dilation"])
    if padding == "causal":
        return tuple(((k - 1) * d, 0) for k, d in zip(window["kernel"], window["dilation"], strict=True))
    return ((0, 0),) * rank


def zero_padding(settings: Settings) -> Pads:
    """What a Keras ZeroPadding layer pads."""
    return pairs_of(settings.get("padding"))


def pairs_of(value: Any) -> Pads:
    """The padding or cropping of a Keras layer as one pair for each spatial axis.

    >>> pairs_of([1, 2]), pairs_of([[0, 1], [2, 3]])
    (((1, 2),), ((0, 1), (2, 3)))
    """
    entries = list(value or [])
    pairs = entries if entries and isinstance(entries[0], list | tuple) else [entries]
    return tuple((int(a), int(b)) for a, b in pairs)


def torch_crops(settings: Settings, rank: int) -> Pads:
    """What a PyTorch transposed convolution takes off each end of the full one; less than 0 where it adds.

    >>> torch_crops({"padding": 1, "output_padding": 1}, 2)
    ((1, 0), (1, 0))
    """
    padding, more = per_axis(settings.get("padding", 0), rank), per_axis(settings.get("output_padding", 0), rank)
    return tuple((p, p - m) for p, m in zip(padding, more, strict=True))


def keras_crops(settings: Settings, rank: int) -> Pads:
    """What a Keras transposed convolution takes off each end of the full one, on TensorFlow and JAX.

    >>> keras_crops({"kernel_size": 3, "strides": 2, "padding": "same"}, 2)
    ((0, 1), (0, 1))
    """
    window = keras_window(settings, rank)
    same = settings.get("padding") == "same"
    given = settings.get("output_padding")
    more = per_axis(given, rank) if given is not None else (None,) * rank
    crops = []
    for k, s, d, m in zip(window["kernel"], window["strides"], window["dilation"], more, strict=True):
        reach = (k - 1) * d + 1
        total = reach - max(reach, s)
        if same:
            total = reach - s if m is None else 2 * (k // 2) - m
        elif m is not None:
            total = -m
        before = max(total, 0) // 2 if same else 0
        crops.append((before, total - before))
    return tuple(crops)


EPSILON_DEFAULTS = {"rms_norm": 2.0**-23}


def torch_epsilon(settings: Settings) -> float | None:
    """A normalisation's epsilon; that of an RMSNorm without one is the precision of float32."""
    epsilon = settings.get("eps")
    if epsilon is None:
        epsilon = EPSILON_DEFAULTS.get(str(settings.get("kind")))
    return None if epsilon is None else float(epsilon)
