"""Named operations: the few transforms that are arithmetic over whole tensors.

Each works in float64 and gives its result in the dtype of its first input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from remap.layout.axes import AxesError

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]
Option = float | int | str | bool
Options = Mapping[str, Option]


@dataclass(frozen=True, slots=True)
class TensorOperation:
    """One operation.

    Args:
        inputs: Names of its inputs, in the order in which a list of sources gives them.
        optional: Those that may be absent.
        any_of: Optional ones of which at least one must be there: without any there is no result.
        options: Names of its settings, with their defaults.
        shape: Shape of the result from the shapes of the inputs.
        compute: The result from float64 inputs.
    """

    inputs: tuple[str, ...]
    compute: Callable[[Arrays, Options], np.ndarray]
    shape: Callable[[Shapes, Options], tuple[int, ...]]
    optional: frozenset[str] = frozenset()
    any_of: frozenset[str] = frozenset()
    options: Mapping[str, Option] = field(default_factory=dict)


def weight_norm(inputs: Arrays, options: Options) -> np.ndarray:
    """``g * v / ||v||``: torch's weight_norm, old form and parametrization; the norm runs over the axes
    that ``g`` has with size 1.

    >>> v = np.array([[3.0, 4.0]]); weight_norm({"g": np.array([[10.0]]), "v": v}, {}).tolist()
    [[6.0, 8.0]]
    """
    g, v = inputs["g"], inputs["v"]
    axes = tuple(axis for axis in range(v.ndim) if g.ndim != v.ndim or g.shape[axis] == 1)
    return np.asarray(g * v / np.sqrt(np.sum(v * v, axis=axes, keepdims=True)))


def spectral_norm(inputs: Arrays, options: Options) -> np.ndarray:
    """``weight / (u . W v)`` with W the weight as a matrix, axis ``dim`` first: torch's spectral_norm in
    inference, whose ``u`` and ``v`` are the stored ones."""
    weight = inputs["weight"]
    matrix = np.moveaxis(weight, int(options["dim"]), 0).reshape(weight.shape[int(options["dim"])], -1)
    return np.asarray(weight / (inputs["u"] @ matrix @ inputs["v"]))


def fold_batchnorm_kernel(inputs: Arrays, options: Options) -> np.ndarray:
    """The kernel of a convolution or dense layer with the BatchNorm after it multiplied in."""
    factor = _factor(inputs, options)
    shape = [1] * inputs["weight"].ndim
    shape[int(options["dim"])] = -1
    return np.asarray(inputs["weight"] * factor.reshape(shape))


def fold_batchnorm_bias(inputs: Arrays, options: Options) -> np.ndarray:
    """The bias that goes with :func:`fold_batchnorm_kernel`."""
    return np.asarray(inputs.get("beta", 0.0) + (inputs.get("bias", 0.0) - inputs["mean"]) * _factor(inputs, options))


def _factor(inputs: Arrays, options: Options) -> np.ndarray:
    return np.asarray(inputs.get("gamma", 1.0) / np.sqrt(inputs["variance"] + float(options["epsilon"])))


def separable_bias(inputs: Arrays, options: Options) -> np.ndarray:
    """Bias of a SeparableConv from those of a depthwise and a pointwise convolution: ``b_pw + W_pw b_dw``.

    >>> separable_bias({"pointwise": np.ones((1, 2, 1, 1)), "depthwise_bias": np.array([1.0, 2.0])}, {}).tolist()
    [3.0]
    """
    pointwise = inputs["pointwise"].reshape(len(inputs["pointwise"]), -1)
    depthwise = inputs.get("depthwise_bias", np.zeros(pointwise.shape[1]))
    return np.asarray(pointwise @ depthwise + inputs.get("bias", 0.0))


def block_diagonal(inputs: Arrays, options: Options) -> np.ndarray:
    """A grouped transposed convolution's kernel ``(i, o/groups, ...)`` as the dense ``(i, o, ...)`` that
    Keras, which has no groups there, needs: zeros outside of the blocks."""
    weight, groups = inputs["weight"], int(options["groups"])
    rows, columns = weight.shape[0] // groups, weight.shape[1]
    dense = np.zeros((weight.shape[0], columns * groups, *weight.shape[2:]), weight.dtype)
    for group in range(groups):
        block = slice(group * rows, (group + 1) * rows)
        dense[block, group * columns : (group + 1) * columns] = weight[block]
    return dense


def product(inputs: Arrays, options: Options) -> np.ndarray:
    """One tensor times another, element by element; axes of size 1 stretch: torch.nn.utils.prune's ``weight_orig``
    times ``weight_mask``.

    >>> product({"first": np.array([2.0, 3.0]), "second": np.array([0.0, 1.0])}, {}).tolist()
    [0.0, 3.0]
    """
    return np.asarray(inputs["first"] * inputs["second"])


def like(name: str) -> Callable[[Shapes, Options], tuple[int, ...]]:
    """The shape of one input, for an operation whose result has it."""
    return lambda shapes, options: shapes[name]


def _rows_of(name: str) -> Callable[[Shapes, Options], tuple[int, ...]]:
    return lambda shapes, options: shapes[name][:1]


def _block_diagonal_shape(shapes: Shapes, options: Options) -> tuple[int, ...]:
    weight, groups = shapes["weight"], int(options["groups"])
    if groups < 1 or len(weight) < 2 or weight[0] % groups:
        raise AxesError(f"{weight} does not split into {groups} groups")
    return (weight[0], weight[1] * groups, *weight[2:])


def _product_shape(shapes: Shapes, options: Options) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(shapes["first"], shapes["second"])
    except ValueError as error:
        raise AxesError(f"{shapes['first']} and {shapes['second']} do not fit each other") from error


OPERATIONS: dict[str, TensorOperation] = {
    "weight_norm": TensorOperation(("g", "v"), weight_norm, like("v")),
    "spectral_norm": TensorOperation(("weight", "u", "v"), spectral_norm, like("weight"), options={"dim": 0}),
    "fold_batchnorm_kernel": TensorOperation(
        ("weight", "variance", "gamma"),
        fold_batchnorm_kernel,
        like("weight"),
        frozenset({"gamma"}),
        options={"epsilon": 1e-5, "dim": 0},
    ),
    "fold_batchnorm_bias": TensorOperation(
        ("mean", "variance", "gamma", "beta", "bias"),
        fold_batchnorm_bias,
        like("mean"),
        frozenset({"gamma", "beta", "bias"}),
        options={"epsilon": 1e-5},
    ),
    "separable_bias": TensorOperation(
        ("pointwise", "depthwise_bias", "bias"),
        separable_bias,
        _rows_of("pointwise"),
        frozenset({"depthwise_bias", "bias"}),
        any_of=frozenset({"depthwise_bias", "bias"}),
    ),
    "block_diagonal": TensorOperation(("weight",), block_diagonal, _block_diagonal_shape, options={"groups": 1}),
    "product": TensorOperation(("first", "second"), product, _product_shape),
}
"""Every operation that ``op`` and ``[[derive]]`` can name."""
