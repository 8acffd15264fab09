"""Comparing two tensors: equal bits, largest differences, in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from remap.layout.tiles import tiles, whole
from remap.tensors.tensor import Tensor

BUDGET = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Compared:
    """How two tensors of one shape differ.

    Args:
        elements: How many there are.
        equal: How many are equal bit for bit, after a widening cast where the dtypes differ.
        absolute: Largest absolute difference; infinite where only one side is NaN.
        relative: Largest difference in proportion to the larger of the two.
    """

    elements: int
    equal: int
    absolute: float
    relative: float


def compare_tensors(a: Tensor, b: Tensor) -> Compared:
    """Hold two tensors of one shape against each other.

    >>> from remap.opening.memory import from_state_dict
    >>> pair = from_state_dict({"a": np.array([1.0, 2.0], "f4"), "b": np.array([1.0, 4.0], "f4")})
    >>> compare_tensors(pair["a"], pair["b"])
    Compared(elements=2, equal=1, absolute=2.0, relative=0.5)
    """
    equal, absolute, relative = 0, 0.0, 0.0
    for left, right in _pieces(a, b):
        same, apart, ratio = _compare(left, right)
        equal, absolute, relative = equal + same, max(absolute, apart), max(relative, ratio)
    a.storage.release()
    b.storage.release()
    return Compared(prod(a.shape), equal, absolute, relative)


def _pieces(a: Tensor, b: Tensor) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if prod(a.shape) == 0:
        return
    left, right = whole(a), whole(b)
    for tile in tiles(left.recipe, BUDGET):
        yield left.render(tile), right.render(tile)


def _compare(left: np.ndarray, right: np.ndarray) -> tuple[int, float, float]:
    if left.dtype == right.dtype:
        bits = f"u{min(left.itemsize, 8)}"
        width = left.itemsize // min(left.itemsize, 8)
        flat = [np.ascontiguousarray(side).reshape(-1).view(bits).reshape(-1, width) for side in (left, right)]
        same = (flat[0] == flat[1]).all(axis=1)
    else:
        same = (_wide(left) == _wide(right)).reshape(-1)
    if same.all():
        return int(same.size), 0.0, 0.0
    x, y = (_wide(side).reshape(-1)[~same] for side in (left, right))
    with np.errstate(all="ignore"):
        apart = np.abs(x - y)
        apart[np.isnan(apart) & ~((x != x) & (y != y))] = np.inf
        apart[np.isnan(apart)] = 0.0
        ratio = apart / np.maximum(np.maximum(np.abs(x), np.abs(y)), np.finfo(np.float64).tiny)
    return int(np.count_nonzero(same)), float(apart.max()), float(np.nan_to_num(ratio, nan=np.inf).max())


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
