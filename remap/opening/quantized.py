"""Quantised tensors turned into float32: ``(integer - zero point) * scale``, per tensor or per slice of one axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from remap.errors import Problem
from remap.formats import contents
from remap.formats.tree import Quantized, Refused, TensorView
from remap.layout.rendered import rendered
from remap.layout.tiles import whole
from remap.tensors.tensor import Tensor, dense_strides


def dequantize(name: str, node: Quantized) -> Tensor | Problem | Refused:
    """The record of the float32 tensor; it is computed, tile by tile, when it is read."""
    made = contents.tensor(name, node.view)
    if isinstance(made, Problem):
        return made
    scale, zero = _numbers(node.scale), _numbers(node.zero_point)
    axis = node.axis
    slices = 1 if axis is None else made.shape[axis] if type(axis) is int and 0 <= axis < len(made.shape) else -1
    if scale is None or zero is None or scale.shape != (slices,) or zero.shape != (slices,):
        return Refused("quantised tensor whose scales cannot be read")
    shape = [1] * len(made.shape)
    if axis is not None:
        shape[axis] = slices
    factor, shift = scale.astype(np.float32).reshape(shape), zero.astype(np.float32).reshape(shape)

    storage = rendered(whole(made), 4, f"dequantised {name}", Dequantise(factor, shift, axis))
    return Tensor(name, made.shape, np.dtype(np.float32), dense_strides(made.shape), storage)


@dataclass(frozen=True, slots=True)
class Dequantise:
    """Turns a tile of integers into float32.

    Args:
        factor: The scales, of the tensor's rank: one, or one a slice along ``axis``.
        shift: The zero points, likewise.
        axis: The axis of the slices, None where there is one scale.
    """

    factor: np.ndarray
    shift: np.ndarray
    axis: int | None

    def __call__(self, tile: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
        own = tuple(cut if number == self.axis else slice(None) for number, cut in enumerate(box))
        numbers: np.ndarray = (tile.astype(np.float32) - self.shift[own]) * self.factor[own]
        return numbers


def _numbers(value: Any) -> np.ndarray | None:
    """A number or a tensor of them, as an array of one axis."""
    if type(value) in (int, float):
        return np.array([value], np.float64)
    made = contents.tensor("scale", value) if type(value) is TensorView else None
    return made.array() if isinstance(made, Tensor) and len(made.shape) == 1 else None
