"""Recipes: what a layout expression does to given shapes, as strided views and nothing else.

A recipe knows the sources by position only, so one serves every repeated block of a network.
Splitting, permuting, taking, flipping and ordering an axis never move data: each is a change of
offset, shape or strides. Data moves once, when a tile of the result is rendered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod

import numpy as np

from remap.layout.blind import Blindness


@dataclass(frozen=True, slots=True)
class View:
    """A strided window of one source; offset and strides in elements of that source's storage.

    >>> View(0, 0, (6,), (1,)).split(0, (2, 3)).permute((1, 0)).strides
    (1, 3)
    """

    source: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def split(self, axis: int, sizes: Sequence[int]) -> View:
        """Split one axis into several, slowest first."""
        steps, step = [], self.strides[axis]
        for size in reversed(sizes):
            steps.append(step)
            step *= size
        return self._with_axis(axis, tuple(sizes), tuple(reversed(steps)))

    def permute(self, order: Sequence[int]) -> View:
        """Reorder the axes."""
        return replace(self, shape=tuple(self.shape[i] for i in order), strides=tuple(self.strides[i] for i in order))

    def cut(self, axis: int, start: int, count: int, step: int = 1) -> View:
        """``count`` entries of an axis from ``start``; a negative ``step`` walks backwards."""
        window = self._with_axis(axis, (count,), (self.strides[axis] * step,))
        return replace(window, offset=self.offset + start * self.strides[axis])

    def take(self, axis: int, index: int) -> View:
        """One entry of an axis; the axis goes."""
        return replace(self._with_axis(axis, (), ()), offset=self.offset + index * self.strides[axis])

    def insert(self, axis: int, size: int = 1) -> View:
        """A new axis before ``axis`` that repeats what is there."""
        shape, strides = list(self.shape), list(self.strides)
        shape.insert(axis, size)
        strides.insert(axis, 0)
        return replace(self, shape=tuple(shape), strides=tuple(strides))

    def merge(self, first: int, count: int) -> View | None:
        """``count`` neighbouring axes as one, or None where their elements are not in one row."""
        shape, strides = self.shape[first : first + count], self.strides[first : first + count]
        kept = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
        for (_, outer), (n, inner) in pairwise(kept):
            if outer != n * inner:
                return None
        step = kept[-1][1] if kept else 1
        before, after = slice(0, first), slice(first + count, None)
        return replace(
            self,
            shape=(*self.shape[before], prod(shape), *self.shape[after]),
            strides=(*self.strides[before], step, *self.strides[after]),
        )

    def _with_axis(self, axis: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> View:
        return replace(
            self,
            shape=(*self.shape[:axis], *sizes, *self.shape[axis + 1 :]),
            strides=(*self.strides[:axis], *strides, *self.strides[axis + 1 :]),
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """A view and the index at which it lands in the result."""

    view: View
    start: tuple[int, ...]


Term = tuple[Piece, ...]
"""Pieces that cover a result without overlap."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one variable is made: ``add + scale * (term + term + ...)``, then a reshape.

    Args:
        shape: Shape of the variable.
        axes: The same elements by elementary axes: what views and pieces count in.
        dtype: Element type before any cast to the target's.
        terms: Each covers all of ``axes``; none for a constant.
        scale: Factor.
        add: Addend; the constant itself where there are no terms.
        steps: What was done, with the shape after it, for people.
        blindness: Why a wrong layout would keep this shape; None where it would not.
        sizes: Sizes by name: of the expression's axes, and of others that were known.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    dtype: np.dtype
    terms: tuple[Term, ...]
    scale: float = 1.0
    add: float = 0.0
    steps: tuple[tuple[str, tuple[int, ...]], ...] = ()
    blindness: Blindness | None = None
    sizes: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def arithmetic(self) -> bool:
        """Whether numbers change, not only their places."""
        return len(self.terms) > 1 or self.scale != 1.0 or self.add != 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of the result before any cast."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def reach(self) -> int:
        """Bytes of the stretches of its sources that its views lie in, holes included."""
        spans = (
            1 + sum((n - 1) * abs(s) for n, s in zip(view.shape, view.strides, strict=True)) for view in self.views
        )
        return sum(spans) * self.dtype.itemsize

    @property
    def views(self) -> tuple[View, ...]:
        """Every view of every term."""
        return tuple(piece.view for term in self.terms for piece in term)


def constant(shape: tuple[int, ...], value: float, dtype: np.dtype) -> Recipe:
    """A recipe that needs no source.

    >>> constant((3,), 1.0, np.dtype("f4")).terms
    ()
    """
    return Recipe(shape, shape, dtype, (), add=value, steps=((f"fill {value:g}", shape),))
