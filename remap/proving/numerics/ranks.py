"""Settings of one axis each, where the two sides have another number of axes: a kernel of (k, 1) for one of k."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TypeVar

OfAxis = TypeVar("OfAxis")
SharedAxes = tuple[int | None, ...]
"""For each of Keras's spatial axes PyTorch's; None for one that PyTorch has not."""


def axes_of(theirs: Sequence[int], ours: Sequence[int]) -> SharedAxes | None:
    """Which axis is which, by the sizes of both sides' maps: an axis of one number is left out or put in.

    Args:
        theirs: Spatial sizes on the PyTorch side.
        ours: Those on the Keras side.

    Returns:
        None where that does not tell.

    >>> axes_of((9, 1), (9,)), axes_of((9,), (1, 9)), axes_of((9, 8), (9, 8)), axes_of((9, 8), (72,))
    ((0,), (None, 0), (0, 1), None)
    """
    if len(theirs) >= len(ours):
        return _kept(theirs, ours)
    places = _kept(ours, theirs)
    which = {place: axis for axis, place in enumerate(places or ())}
    return tuple(which.get(place) for place in range(len(ours))) if places is not None else None


def _kept(more: Sequence[int], fewer: Sequence[int]) -> tuple[int, ...] | None:
    """The axes of ``more`` that are those of ``fewer``: the others have one number; of their sizes, where that goes."""
    choices = [
        kept
        for kept in combinations(range(len(more)), len(fewer))
        if all(size == 1 for axis, size in enumerate(more) if axis not in kept)
    ]
    alike = [kept for kept in choices if [more[axis] for axis in kept] == list(fewer)]
    return next(iter(alike or choices), None)


def along(axes: SharedAxes, values: Sequence[OfAxis], plain: OfAxis) -> tuple[OfAxis, ...]:
    """One value for each of Keras's axes; ``plain`` for one that PyTorch has not.

    >>> along((None, 0), (3,), 1)
    (1, 3)
    """
    return tuple(plain if axis is None else values[axis] for axis in axes)
