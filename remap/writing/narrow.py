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


@dataclass(frozen=True, slots=True)
class Unfit:
    """Numbers that the element type they are written in does not hold.

    Args:
        count: How many.
        first: The first of them; empty where there is none.
        written: What it would become.
    """

    count: int = 0
    first: str = ""
    written: str = ""

    def __add__(self, later: Unfit) -> Unfit:
        first = self if self.count else later
        return Unfit(self.count + later.count, first.first, first.written)


def is_exact(source: np.dtype, target: np.dtype) -> bool:
    """Whether every number of one element type is one of the other.

    >>> is_exact(np.dtype("f2"), np.dtype("f4")), is_exact(np.dtype("i8"), np.dtype("f8"))
    (True, False)
    """
    wide_integer = source.kind in "iu" and source.itemsize == 8 and target.kind not in "iu"
    return source == target or (np.can_cast(source, target, "safe") and not wide_integer)


def cast(source: np.ndarray, into: np.ndarray, loss: Loss) -> Unfit:
    """``into[...] = source``, measuring the loss.

    Args:
        source: C-ordered numbers.
        into: C-ordered, of the same shape and another dtype.
        loss: Takes up what was lost; its name is left alone.

    Returns:
        Numbers that do not fit: finite ones that turned infinite, whatever an integer type changed, and integers that
        a float type has no digits for. NaN and infinities that float types keep are no loss.

    >>> loss = Loss()
    >>> cast(np.array([0.1, 1e9], "f4"), np.empty(2, "f2"), loss), round(loss.relative, 5)
    (Unfit(count=1, first='1000000000.0', written='inf'), 0.00024)
    >>> cast(np.array([2**24, 2**24 + 1], "i4"), np.empty(2, "f4"), loss)
    Unfit(count=1, first='16777217', written='16777216')
    """
    source, into = source.reshape(-1), into.reshape(-1)
    if is_exact(source.dtype, into.dtype):
        into[...] = source
        return Unfit()
    unfit = Unfit()
    for start in range(0, source.size, CHUNK):
        piece = slice(start, start + CHUNK)
        with np.errstate(over="ignore", invalid="ignore"):
            into[piece] = source[piece]
        unfit += _measure(source[piece], into[piece], loss)
    return unfit


def _measure(given: np.ndarray, cast: np.ndarray, loss: Loss) -> Unfit:
    if cast.dtype.kind == "c" and given.dtype.kind != "c":
        cast = cast.real
    if not is_float(cast.dtype) and cast.dtype.kind != "c":
        return _unfit(given != cast, given, cast)
    if given.dtype.kind in "iub":
        return _unfit(_changed(given, cast), given, cast)
    wide = working_dtype(given.dtype)
    before, after = given.astype(wide, copy=False), cast.astype(wide)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        lost = np.abs(after - before)
        largest = lost.max(initial=0.0)
        unfit = Unfit()
        if not np.isfinite(largest):
            finite = np.isfinite(before)
            unfit = _unfit(finite & ~np.isfinite(after), given, cast)
            lost[~(finite & np.isfinite(after))] = 0
            largest = lost.max(initial=0.0)
        relative = np.fmax.reduce(lost / np.abs(before), initial=0.0)
    loss.absolute = max(loss.absolute, float(largest))
    loss.relative = max(loss.relative, float(relative))
    return unfit


def _changed(integers: np.ndarray, floats: np.ndarray) -> np.ndarray:
    """Which integers a float type does not hold, however large both are."""
    with np.errstate(invalid="ignore", over="ignore"):
        wide = floats.astype(np.float64)
        return np.asarray(~np.isfinite(wide) | (wide.astype(integers.dtype) != integers))


def _unfit(wrong: np.ndarray, given: np.ndarray, cast: np.ndarray) -> Unfit:
    count = int(np.count_nonzero(wrong))
    if not count:
        return Unfit()
    at = int(np.argmax(wrong))
    whole = given.dtype.kind in "iu" and bool(np.isfinite(cast[at]))
    return Unfit(count, str(given[at]), str(int(cast[at])) if whole else str(cast[at]))
