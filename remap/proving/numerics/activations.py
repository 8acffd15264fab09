"""Activations by name, in numpy: what a network may have taken in place of another.

Each is also there with its constants rounded to float32, as frameworks round them that pass a number through a tensor
or an attribute in single precision: in double precision such an activation is apart from the exact one by 1e-8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from math import pi, sqrt
from typing import Any

import numpy as np

Array = np.ndarray
ScalarFunction = Callable[[float], float]


class ActivationForm(Enum):
    """Which activations are forms of one another."""

    NONE = auto()
    GELU = auto()
    HARD_SWISH = auto()
    HARD_SIGMOID = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class NamedActivation:
    """An activation by name.

    Args:
        name: What messages call it.
        function: What it computes.
        form: What it is a form of.
    """

    name: str
    function: Callable[[Array], Array]
    form: ActivationForm = ActivationForm.OTHER

    def __call__(self, x: Array) -> Array:
        """The activation in double precision."""
        return self.function(x.astype(np.float64))


def single(value: float) -> float:
    """A number rounded to float32.

    >>> single(0.5), single(0.01)
    (0.5, 0.009999999776482582)
    """
    return float(np.float32(value))


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


def activations_with(settings: Mapping[str, Any], constant: ScalarFunction = float) -> dict[str, NamedActivation]:
    """All activations by name, and those that a module or layer is set to by a number, the likeliest first.

    Args:
        settings: What it is set to, in the vocabulary of both sides.
        constant: What becomes of every number in them; :func:`single` rounds it.

    >>> activations_with({"slope": 0.25})["leaky_relu (0.25)"](np.array([-4.0])).tolist()
    [-1.0]
    """
    every = [
        NamedActivation(name, function, FORMS.get(name, ActivationForm.OTHER))
        for name, function in _functions(constant)
    ]
    slope, alpha = settings.get("slope"), settings.get("alpha")
    if isinstance(slope, float):
        every.append(NamedActivation(f"leaky_relu ({slope:g})", _leaky(constant(slope))))
    if isinstance(alpha, float):
        every.append(NamedActivation(f"elu ({alpha:g})", partial(_elu, alpha=constant(alpha))))
    named: dict[str, NamedActivation] = {}
    for entry in every:
        named.setdefault(entry.name, entry)
    return named


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _leaky(slope: float) -> Callable[[Array], Array]:
    return lambda x: np.where(x > 0, x, slope * x)


FORMS = {
    "linear (none)": ActivationForm.NONE,
    "gelu (erf)": ActivationForm.GELU,
    "gelu (tanh)": ActivationForm.GELU,
    "hard_swish": ActivationForm.HARD_SWISH,
    "hard_swish (0.2 x + 0.5)": ActivationForm.HARD_SWISH,
    "hard_sigmoid": ActivationForm.HARD_SIGMOID,
    "hard_sigmoid (0.2 x + 0.5)": ActivationForm.HARD_SIGMOID,
}


def _functions(constant: ScalarFunction) -> Iterable[tuple[str, Callable[[Array], Array]]]:
    half, cubic = constant(sqrt(0.5)), constant(0.044715)  # as tf.nn.gelu casts them, and not sqrt(2 / pi)
    quick, fifth = constant(1.702), constant(0.2)
    selu = constant(1.0507009873554805), constant(1.6732632423543772)

    def old_hard_sigmoid(x: Array) -> Array:  # Keras 2's
        return np.clip(fifth * x + 0.5, 0, 1)

    functions: dict[str, Callable[[Array], Array]] = {
        "linear (none)": lambda x: x,
        "relu": lambda x: np.maximum(x, 0),
        "gelu (erf)": lambda x: 0.5 * x * (1 + erf(x * half)),
        "gelu (tanh)": lambda x: 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + cubic * x**3))),
        "quick gelu": lambda x: x * sigmoid(quick * x),
        "silu": lambda x: x * sigmoid(x),
        "relu6": lambda x: np.clip(x, 0, 6),
        "hard_swish": lambda x: x * hard_sigmoid(x),
        "hard_swish (0.2 x + 0.5)": lambda x: x * old_hard_sigmoid(x),
        "hard_sigmoid": hard_sigmoid,
        "hard_sigmoid (0.2 x + 0.5)": old_hard_sigmoid,
        "sigmoid": sigmoid,
        "tanh": np.tanh,
        **{f"leaky_relu ({slope:g})": _leaky(constant(slope)) for slope in (0.01, 0.1, 0.2, 0.3)},
        "elu": _elu,
        "selu": lambda x: selu[0] * _elu(x, selu[1]),
        "softplus": lambda x: np.logaddexp(0, x),
        "softsign": lambda x: x / (1 + np.abs(x)),
        "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
        "squared relu": lambda x: np.maximum(x, 0) ** 2,
        "softmax": lambda x: softmax(x, -1),
        "softmax over the second axis": lambda x: softmax(x, 1) if x.ndim > 2 else softmax(x, -1),
        "log_softmax": lambda x: np.log(softmax(x, -1)),
    }
    return functions.items()
