"""Quantised tensors turned into float32: ``(integer - zero point) * scale``, per tensor or per slice of one axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from remap.checkpoint import contents
from remap.checkpoint.contents import stored
from remap.checkpoint.tensor import ComputedStorage, Tensor
from remap.checkpoint.tree import Quantized, Refused, View
from remap.errors import Problem


def dequantize(name: str, node: Quantized) -> Tensor | Problem | Refused:
    """The record of the float32 tensor; it is computed as a whole when it is read."""
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
    source, factor, shift = made, scale.astype(np.float32).reshape(shape), zero.astype(np.float32).reshape(shape)

    def compute() -> np.ndarray:
        result = (source.array().astype(np.float32) - shift) * factor
        source.storage.release()
        return result

    storage = ComputedStorage(made.size * 4, f"dequantised {name}", compute)
    return Tensor(name, *_layout(stored(storage, np.dtype(np.float32), made.shape)), storage)


def _layout(view: View) -> tuple[Any, np.dtype, Any]:
    return view.size, np.dtype(np.float32), view.stride


def _numbers(value: Any) -> np.ndarray | None:
    """A number or a tensor of them, as an array of one axis."""
    if type(value) in (int, float):
        return np.array([value], np.float64)
    made = contents.tensor("scale", value) if type(value) is View else None
    return made.array() if isinstance(made, Tensor) and len(made.shape) == 1 else None
