"""Activations by name, in numpy: what a network may have taken in place of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import pi, sqrt
from typing import Any

import numpy as np

Array = np.ndarray


def erf(x: Array) -> Array:
    """The error function, to float64 precision.

    >>> float(erf(np.array([1.0]))[0])
    0.8427007929497149
    """
    from math import erf as scalar

    return np.asarray(np.vectorize(scalar, otypes=[np.float64])(x))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0, -x)))


def softmax(x: Array, axis: int) -> Array:
    """exp(x) over its sum along an axis."""
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))


def hard_sigmoid(x: Array) -> Array:
    """PyTorch's and Keras 3's: clip(x / 6 + 1/2, 0, 1)."""
    return np.clip(x / 6 + 0.5, 0, 1)


def old_hard_sigmoid(x: Array) -> Array:
    """Keras 2's: clip(0.2 x + 0.5, 0, 1)."""
    return np.clip(0.2 * x + 0.5, 0, 1)


def functions_with(settings: Mapping[str, Any]) -> dict[str, Callable[[Array], Array]]:
    """All activations, and those that a module or layer is set to by a number.

    >>> functions_with({"negative_slope": 0.25})["leaky_relu (0.25)"](np.array([-4.0])).tolist()
    [-1.0]
    """
    found = dict(FUNCTIONS)
    slope, alpha = settings.get("negative_slope"), settings.get("alpha")
    if isinstance(slope, float):
        found.setdefault(f"leaky_relu ({slope:g})", _leaky(slope))
    if isinstance(alpha, float):
        found.setdefault(f"elu ({alpha:g})", partial(_elu, alpha=alpha))
    return found


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _leaky(slope: float) -> Callable[[Array], Array]:
    return lambda x: np.where(x > 0, x, slope * x)


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "linear (none)": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu (erf)": lambda x: 0.5 * x * (1 + erf(x / sqrt(2))),
    "gelu (tanh)": lambda x: 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))),
    "quick gelu": lambda x: x * sigmoid(1.702 * x),
    "silu": lambda x: x * sigmoid(x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hard_swish": lambda x: x * hard_sigmoid(x),
    "hard_swish (0.2 x + 0.5)": lambda x: x * old_hard_sigmoid(x),
    "hard_sigmoid": hard_sigmoid,
    "hard_sigmoid (0.2 x + 0.5)": old_hard_sigmoid,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "leaky_relu (0.01)": _leaky(0.01),
    "leaky_relu (0.1)": _leaky(0.1),
    "leaky_relu (0.2)": _leaky(0.2),
    "leaky_relu (0.3)": _leaky(0.3),
    "elu": _elu,
    "selu": lambda x: 1.0507009873554805 * _elu(x, 1.6732632423543772),
    "softplus": lambda x: np.logaddexp(0, x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "squared relu": lambda x: np.maximum(x, 0) ** 2,
    "softmax": lambda x: softmax(x, -1),
    "softmax over the second axis": lambda x: softmax(x, 1) if x.ndim > 2 else softmax(x, -1),
    "log_softmax": lambda x: np.log(softmax(x, -1)),
}
"""Name to function, the likeliest first; all work in float64."""


def apply(function: Callable[[Array], Array], x: Array) -> Array:
    """An activation in double precision."""
    return function(x.astype(np.float64))
