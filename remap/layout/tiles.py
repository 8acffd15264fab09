"""Tiles: a variable rendered piece by piece, so that no whole tensor need be in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Protocol

import numpy as np

from remap.checkpoint.tensor import Storage, dense_strides
from remap.dtypes import working_dtype
from remap.layout.copy import copy
from remap.layout.recipe import Piece, Recipe, View

TILE_BYTES = 16 * 1024 * 1024


class Source(Protocol):
    """What a recipe reads: a checkpoint's tensor or a derived one."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def strides(self) -> tuple[int, ...]: ...

    @property
    def offset(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def storage(self) -> Storage: ...

    def array(self) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class Tile:
    """A box of a variable, in elementary axes: ``[start, stop)`` on each."""

    start: tuple[int, ...]
    stop: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    def runs(self, axes: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """(first element, count) of each stretch that lies in one row of the variable, in order.

        >>> list(Tile((0, 1), (2, 3)).runs((2, 4)))
        [(1, 2), (5, 2)]
        """
        strides = dense_strides(axes)
        split = len(axes)
        while split > 0 and self.shape[split - 1] == axes[split - 1]:
            split -= 1
        outer = max(split - 1, 0)
        count = prod(self.shape[outer:])
        base = sum(a * s for a, s in zip(self.start, strides, strict=True))
        for index in product(*(range(n) for n in self.shape[:outer])):
            yield base + sum(i * s for i, s in zip(index, strides, strict=False)), count


def tiles(recipe: Recipe, budget: int = TILE_BYTES, *, sequential: bool = False) -> list[Tile]:
    """Boxes that cover the variable, each of at most about ``budget`` bytes.

    Args:
        recipe: The variable.
        budget: Bytes of a tile.
        sequential: Each tile is one run, in the order of the variable: what a running checksum needs.
            Otherwise the cut goes where the sources are read in the longest runs.
    """
    axes = recipe.axes
    whole = [Tile((0,) * len(axes), axes)]
    if recipe.nbytes <= budget or not axes:
        return whole
    if sequential:
        return [tile for cut in _leading_cuts(axes, budget // recipe.dtype.itemsize) for tile in cut]
    axis = _cut_axis(recipe)
    count = max(1, int(axes[axis] * budget // recipe.nbytes))
    if count == 1 and recipe.nbytes // axes[axis] > 2 * budget:
        return tiles(recipe, budget, sequential=True)
    return [_slab(axes, axis, i, min(i + count, axes[axis])) for i in range(0, axes[axis], count)]


def _slab(axes: tuple[int, ...], axis: int, start: int, stop: int) -> Tile:
    low, high = [0] * len(axes), list(axes)
    low[axis], high[axis] = start, stop
    return Tile(tuple(low), tuple(high))


def _cut_axis(recipe: Recipe) -> int:
    """The axis along which the first source moves slowest, the result's fastest one excepted."""
    candidates = [axis for axis in range(len(recipe.axes)) if recipe.axes[axis] > 1]
    if len(candidates) > 1:
        candidates = candidates[:-1]
    if not recipe.terms:
        return candidates[0]
    strides = recipe.terms[0][0].view.strides
    return max(candidates, key=lambda axis: abs(strides[axis]))


def _leading_cuts(axes: tuple[int, ...], budget: int) -> Iterator[list[Tile]]:
    """Cuts on the first axis whose slices fit, for every index of the axes before it."""
    axis = 0
    while axis < len(axes) - 1 and prod(axes[axis + 1 :]) > budget:
        axis += 1
    count = max(1, budget // prod(axes[axis + 1 :]))
    for index in product(*(range(n) for n in axes[:axis])):
        low = [(*index, i, *(0 for _ in axes[axis + 1 :])) for i in range(0, axes[axis], count)]
        high = [(*(i + 1 for i in index), min(a[axis] + count, axes[axis]), *axes[axis + 1 :]) for a in low]
        yield [Tile(a, b) for a, b in zip(low, high, strict=True)]


@dataclass(frozen=True, slots=True)
class Value:
    """A recipe bound to its sources: the numbers of one variable, rendered when asked."""

    recipe: Recipe
    sources: tuple[Source, ...]

    def render(self, tile: Tile) -> np.ndarray:
        """The numbers of one tile, C-ordered, of the tile's shape and the recipe's dtype."""
        recipe = self.recipe
        if not recipe.arithmetic:
            found = np.empty(tile.shape, recipe.dtype)
            self._gather(recipe.terms[0] if recipe.terms else (), tile, found)
            if not recipe.terms:
                found[...] = 0
            return found
        dtype = working_dtype(recipe.dtype)
        total = np.zeros(tile.shape, dtype)
        for number, term in enumerate(recipe.terms):
            part = np.empty(tile.shape, recipe.dtype)
            self._gather(term, tile, part)
            total = part.astype(dtype) if number == 0 else total + part.astype(dtype)
        if recipe.scale != 1.0:
            total *= np.asarray(recipe.scale, dtype)
        if recipe.add != 0.0:
            total += np.asarray(recipe.add, dtype)
        return total.astype(recipe.dtype)

    def array(self) -> np.ndarray:
        """The whole variable, of the recipe's shape and dtype."""
        axes = self.recipe.axes
        return self.render(Tile((0,) * len(axes), axes)).reshape(self.recipe.shape)

    def release(self) -> None:
        """Give back what reading the sources took."""
        for source in self.sources:
            source.storage.release()

    def _gather(self, term: Sequence[Piece], tile: Tile, into: np.ndarray) -> None:
        for piece in term:
            view, place = piece.view, []
            for axis, (low, high) in enumerate(zip(tile.start, tile.stop, strict=True)):
                first = max(low, piece.start[axis])
                count = min(high, piece.start[axis] + piece.view.shape[axis]) - first
                if count <= 0:
                    break
                view = view.cut(axis, first - piece.start[axis], count)
                place.append(slice(first - low, first - low + count))
            else:
                copy(into[tuple(place)], window(self.sources[view.source], view))


def whole(source: Source) -> Value:
    """The value of a source as it is."""
    view = View(0, 0, source.shape, source.strides)
    term = (Piece(view, (0,) * len(source.shape)),)
    return Value(Recipe(source.shape, source.shape, source.dtype, (term,)), (source,))


def window(source: Source, view: View) -> np.ndarray:
    """The elements that a view names, as a read-only array over the source's own bytes."""
    item = source.dtype.itemsize
    if 0 in view.shape:
        return np.empty(view.shape, source.dtype)
    start = source.offset + view.offset
    strides = tuple(step * item for step in view.strides)
    return np.ndarray(view.shape, source.dtype, source.storage.map(), start * item, strides)
