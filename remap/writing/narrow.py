"""Casts to the element type that is written, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remap.tensors.dtypes import is_float, working_dtype

CHUNK = 64 * 1024
"""Elements cast at a time, few enough for the cache."""


@dataclass(slots=True)
class Loss:
    """What casts to a narrower element type lost at most.

    Args:
        absolute: Largest difference.
        relative: Largest difference in proportion to the number itself.
        name: Variable with the largest difference; empty where nothing was cast to a narrower type.
    """

    absolute: float = 0.0
    relative: float = 0.0
    name: str = ""

    def add(self, other: Loss) -> None:
        """Keep the larger of both."""
        if not self.name or other.absolute > self.absolute:
            self.name = other.name or self.name
        self.absolute = max(self.absolute, other.absolute)
        self.relative = max(self.relative, other.relative)


def is_exact(source: np.dtype, target: np.dtype) -> bool:
    """Whether every number of one element type is one of the other.

    >>> is_exact(np.dtype("f2"), np.dtype("f4")), is_exact(np.dtype("i8"), np.dtype("f8"))
    (True, False)
    """
    wide_integer = source.kind in "iu" and source.itemsize == 8 and target.kind not in "iu"
    return source == target or (np.can_cast(source, target, "safe") and not wide_integer)


def cast(source: np.ndarray, into: np.ndarray, loss: Loss) -> int:
    """``into[...] = source``, measuring the loss.

    Args:
        source: C-ordered numbers.
        into: C-ordered, of the same shape and another dtype.
        loss: Takes up what was lost; its name is left alone.

    Returns:
        How many numbers do not fit: finite ones that turned infinite, or whatever an integer type changed.
        NaN and infinities that float types keep are no loss.

    >>> loss = Loss()
    >>> cast(np.array([0.1, 1e9], "f4"), np.empty(2, "f2"), loss), round(loss.relative, 5)
    (1, 0.00024)
    """
    source, into = source.reshape(-1), into.reshape(-1)
    if is_exact(source.dtype, into.dtype):
        into[...] = source
        return 0
    unfit = 0
    for start in range(0, source.size, CHUNK):
        piece = slice(start, start + CHUNK)
        with np.errstate(over="ignore", invalid="ignore"):
            into[piece] = source[piece]
        unfit += _measure(source[piece], into[piece], loss)
    return unfit


def _measure(before: np.ndarray, after: np.ndarray, loss: Loss) -> int:
    if not is_float(after.dtype) and after.dtype.kind != "c":
        return int(np.count_nonzero(before != after))
    wide = working_dtype(before.dtype) if before.dtype.kind not in "iub" else np.dtype(np.float64)
    before, after = before.astype(wide, copy=False), after.astype(wide)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        lost = np.abs(after - before)
        largest = lost.max(initial=0.0)
        unfit = 0
        if not np.isfinite(largest):
            finite = np.isfinite(before)
            unfit = int(np.count_nonzero(finite & ~np.isfinite(after)))
            lost[~(finite & np.isfinite(after))] = 0
            largest = lost.max(initial=0.0)
        relative = np.fmax.reduce(lost / np.abs(before), initial=0.0)
    loss.absolute = max(loss.absolute, float(largest))
    loss.relative = max(loss.relative, float(relative))
    return unfit
