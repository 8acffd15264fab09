"""Histograms of one variable's numbers on both sides of a conversion."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from remap.checking.compare import planned_array
from remap.planning.plan import Assignment

BINS = 40
WHOLE = 1 << 22
"""Variables with more elements than this are looked at in part: their first ones, and as many of the sources."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often values fall into equal bins between two bounds.

    Args:
        low: Lower bound.
        high: Upper bound.
        torch: Counts of the source tensors together; empty for a variable that has none.
        keras: Counts of the variable.
        sampled: Whether only a part was looked at.
    """

    low: float
    high: float
    torch: tuple[int, ...]
    keras: tuple[int, ...]
    sampled: bool = False


def histogram_of(assignment: Assignment, keras: np.ndarray | None = None) -> Histogram | None:
    """Both sides of one assignment in the same bins; None where there are no numbers.

    Args:
        assignment: What is written.
        keras: The variable's own values, where a model is at hand; else what the plan makes of the sources.
    """
    sources = [_part(source.array()) for source in assignment.value.sources]
    target = keras if keras is not None else _planned(assignment)
    parts = [_numbers(part) for part in sources]
    right = _numbers(_part(target)) if target is not None else np.empty(0)
    together = [array for array in (*parts, right) if array.size]
    assignment.value.release()
    if not together:
        return None
    low, high = min(float(a.min()) for a in together), max(float(a.max()) for a in together)
    if low == high:
        low, high = low - 0.5, high + 0.5
    sampled = any(prod(source.shape) > WHOLE for source in assignment.value.sources)
    left = np.sum([_counts(part, low, high) for part in parts], axis=0) if parts else np.empty(0)
    return Histogram(low, high, _ints(left), _ints(_counts(right, low, high)), sampled)


def _planned(assignment: Assignment) -> np.ndarray | None:
    return planned_array(assignment) if prod(assignment.shape) <= WHOLE else None


def _part(array: np.ndarray) -> np.ndarray:
    """A view of a part that is spread over the whole, at most :data:`WHOLE` elements."""
    while array.size > WHOLE:
        axis = int(np.argmax(array.shape))
        array = array[(slice(None),) * axis + (slice(None, None, 2),)]
    return array


def _numbers(array: np.ndarray) -> np.ndarray:
    """Finite values in single precision at least."""
    flat = array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64).reshape(-1)
    return np.asarray(flat[np.isfinite(flat)])


def _counts(array: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.histogram(array, BINS, (low, high))[0]


def _ints(counts: np.ndarray) -> tuple[int, ...]:
    return tuple(int(count) for count in counts)
