"""One axis in two orders: which splitting of it into factors, written in another order, makes one of the other.

A flatten of channels, rows and columns, a channel shuffle, a depth-to-space and their joins all are that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, permutations
from math import prod

import numpy as np

from remap.layout.combine import Shape
from remap.proving.limits import MOST_DIVISIONS

MOST_FACTORS = 4
"""A map has channels and three further axes at most."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of an axis of Keras's, made of one of PyTorch's.

    Args:
        start: Where PyTorch's begins.
        shape: Factors of its length, PyTorch's order.
        order: Keras's order of them.
        listed: Position on PyTorch's axis of each entry, where no factors tell; the stretch is the whole axis then.
    """

    start: int
    shape: Shape
    order: Shape
    listed: Shape = ()

    @property
    def length(self) -> int:
        """Entries."""
        return prod(self.shape)

    @property
    def indices(self) -> np.ndarray:
        """Position on PyTorch's axis of each entry of Keras's.

        >>> Stretch(6, (2, 3), (1, 0)).indices.tolist()
        [6, 9, 7, 10, 8, 11]
        """
        if self.listed:
            return np.array(self.listed)
        return self.start + np.arange(self.length).reshape(self.shape).transpose(self.order).ravel()


def reordered(
    theirs: np.ndarray, ours: np.ndarray, divisions: Sequence[Sequence[int]], maps: Sequence[Shape], allowed: float
) -> list[Stretch] | None:
    """How Keras's last axis is made of PyTorch's; None where it is not by stretches and factors.

    Args:
        theirs: PyTorch's values, of shape (any, axis).
        ours: Keras's, of the same shape.
        divisions: Lengths of stretches that the axis may be joined of, each a list, in either side's order.
        maps: Shapes whose flattening may have made a stretch: they are tried before other factors.
        allowed: How far values may be apart.

    >>> x = np.arange(10.0)[None]
    >>> y = np.concatenate([x[:, :6].reshape(2, 3).T.reshape(1, 6), x[:, 6:]], 1)
    >>> [(stretch.start, stretch.shape) for stretch in reordered(x, y, [(6, 4)], [], 0.0)]
    [(0, (2, 3)), (6, (4,))]
    """
    size = ours.shape[-1]
    starts = {start for lengths in divisions for start in accumulate(lengths, initial=0)}
    for lengths in (*divisions, (size,)):
        if sum(lengths) != size:
            continue
        stretches: list[Stretch] = []
        for start, length in zip(accumulate(lengths, initial=0), lengths, strict=False):
            own = ours[:, start : start + length]
            places = _nearest(starts | {0}, start)
            stretch = next(
                (
                    stretch
                    for place in places
                    if place + length <= size
                    for stretch in _stretches(place, length, maps)
                    if _alike(theirs, own, stretch, allowed)
                ),
                None,
            )
            if stretch is None:
                break
            stretches.append(stretch)
        else:
            return stretches
    return _listed(theirs, ours, allowed)


def _nearest(places: set[int], start: int) -> list[int]:
    return sorted(places, key=lambda place: abs(place - start))


def _listed(theirs: np.ndarray, ours: np.ndarray, allowed: float) -> list[Stretch] | None:
    """Any other order, where the values of the first row tell the entries apart."""
    listed = np.empty(theirs.shape[-1], np.int64)
    listed[np.argsort(ours[0])] = np.argsort(theirs[0])
    stretch = Stretch(0, (len(listed),), (0,), tuple(listed.tolist()))
    return [stretch] if len(listed) > 1 and _alike(theirs, ours, stretch, allowed) else None


def _alike(theirs: np.ndarray, own: np.ndarray, stretch: Stretch, allowed: float) -> bool:
    indices = stretch.indices
    return all(bool(np.all(np.abs(own[row] - theirs[row][indices]) <= allowed)) for row in range(len(own)))


def _stretches(start: int, length: int, maps: Sequence[Shape]) -> Iterator[Stretch]:
    """The ways to order a stretch: as it is, as a map that is known, by two factors, by three."""
    yield Stretch(start, (length,), (0,))
    seen: set[tuple[Shape, Shape]] = set()
    known = [shape for shape in maps if prod(shape) == length and len(shape) <= MOST_FACTORS]
    divided = (shape for count in (2, 3) for shape in _factors(length, count))
    tried = 0
    for shape in (*known, *divided):
        for order in permutations(range(len(shape))):
            merged = _merged(shape, order)
            if len(merged[0]) > 1 and merged not in seen:
                seen.add(merged)
                tried += 1
                yield Stretch(start, *merged)
        if tried > MOST_DIVISIONS:
            return


def orders(start: int, length: int) -> Iterator[Stretch]:
    """The ways to order a stretch by its factors, other than as it is.

    >>> [(stretch.shape, stretch.order) for stretch in orders(0, 6)]
    [((2, 3), (1, 0)), ((3, 2), (1, 0))]
    """
    return (stretch for stretch in _stretches(start, length, ()) if len(stretch.shape) > 1)


def _merged(shape: Shape, order: Shape) -> tuple[Shape, Shape]:
    """Axes that stay neighbours in their order as one.

    >>> _merged((4, 6, 5), (1, 2, 0))
    ((4, 30), (1, 0))
    """
    runs: list[list[int]] = []
    for axis in order:
        if shape[axis] == 1:
            continue
        between = range(runs[-1][-1] + 1, axis) if runs else ()
        if runs and axis > runs[-1][-1] and all(shape[other] == 1 for other in between):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    by_start = sorted(runs)
    sizes = tuple(prod(shape[axis] for axis in run) for run in by_start)
    return sizes, tuple(by_start.index(run) for run in runs)


def _factors(length: int, count: int) -> Iterator[Shape]:
    """The ordered products of ``count`` factors above 1 that a number is.

    >>> list(_factors(6, 2)), list(_factors(8, 3))
    ([(2, 3), (3, 2)], [(2, 2, 2)])
    """
    if count == 1:
        yield (length,)
        return
    for first in range(2, length // 2 + 1):
        if length % first == 0:
            for rest in _factors(length // first, count - 1):
                if min(rest) > 1:
                    yield (first, *rest)
