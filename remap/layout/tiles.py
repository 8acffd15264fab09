"""Tiles: a variable rendered piece by piece, so that no whole tensor need be in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from mmap import mmap
from operator import add
from typing import Any, Protocol

import numpy as np

from remap.layout.copy import copy
from remap.layout.recipe import Piece, Recipe, Term, View
from remap.tensors.dtypes import working_dtype
from remap.tensors.tensor import Storage, dense_strides

TILE_BYTES = 8 * 1024 * 1024
MAPPED_BYTES = 128 * 1024 * 1024
"""Bytes of mapped files that one variable may have in memory at a time: they count as the process's own."""
RUN = 512
"""Bytes that a tile reads in one run at least, where its sources can be in memory whole: some cache lines."""
LARGE_RUN = 4096
"""The same where they cannot: a page."""
FAULT_BYTES = 64 * 1024
"""What the kernel maps around a touched page of a file."""


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


def tiles(recipe: Recipe, budget: int = TILE_BYTES) -> list[Tile]:
    """Boxes that cover the variable, each of at most about ``budget`` bytes.

    Each reads its source in runs of some length and, for the rest, is as much of the variable in one run as fits.
    Where the sources are too large to be in memory whole, runs are longer: every one costs a page fault.

    >>> recipe = Recipe((4, 3), (4, 3), np.dtype("f4"), ())
    >>> [tile.stop for tile in tiles(recipe, budget=24)]
    [(2, 3), (4, 3)]
    """
    axes, item = recipe.axes, recipe.dtype.itemsize
    backwards = range(len(axes))[::-1]
    extents = [1] * len(axes)
    if recipe.nbytes > budget and recipe.terms:
        _lengthen(extents, recipe, (LARGE_RUN if recipe.reach > MAPPED_BYTES else RUN) // item)
    for axis in backwards:
        room = budget // item * extents[axis] // prod(extents)
        extents[axis] = max(extents[axis], min(axes[axis], room))
        if extents[axis] < axes[axis]:
            break
    starts = product(*(range(0, size, extent) for size, extent in zip(axes, extents, strict=True)))
    return [Tile(start, tuple(map(min, map(add, start, extents), axes))) for start in starts]


def _lengthen(extents: list[int], recipe: Recipe, count: int) -> None:
    """Widen a box until the first source is read in runs of ``count`` elements."""
    steps = [abs(step) for step in recipe.terms[0][0].view.strides]
    run = 1
    for axis in sorted((axis for axis, step in enumerate(steps) if step), key=lambda axis: steps[axis]):
        extents[axis] = min(recipe.axes[axis], -(-count // run))
        run *= extents[axis]
        if run >= count:
            return


@dataclass(slots=True, eq=False)
class Value:
    """A recipe bound to its sources: the numbers of one variable, rendered when asked."""

    recipe: Recipe
    sources: tuple[Source, ...]

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Value, (self.recipe, self.sources)

    def render(self, tile: Tile, into: np.ndarray | None = None) -> np.ndarray:
        """The numbers of one tile, C-ordered, of the tile's shape and the recipe's dtype.

        Args:
            tile: Which.
            into: Where to put them, an array of that shape and dtype; a new one if None.

        What is in one run already comes back as a read-only view of the source, nothing copied.
        """
        recipe = self.recipe
        if not recipe.arithmetic and recipe.terms:
            run = self._run(recipe.terms[0], tile)
            if run is not None:
                return run
        if into is None:
            into = np.empty(tile.shape, recipe.dtype)
        if not recipe.terms:
            into[...] = recipe.add
        elif not recipe.arithmetic:
            self._gather(recipe.terms[0], tile, into)
        else:
            into[...] = self._computed(tile, into)
        return into

    def _computed(self, tile: Tile, part: np.ndarray) -> np.ndarray:
        """The result of the arithmetic in its working dtype; ``part`` is room for one term."""
        recipe = self.recipe
        dtype = working_dtype(recipe.dtype)
        total = np.zeros(tile.shape, dtype)
        for number, term in enumerate(recipe.terms):
            self._gather(term, tile, part)
            if number == 0:
                total[...] = part
            else:
                total += part.astype(dtype, copy=False)
        if recipe.scale != 1.0:
            total *= np.asarray(recipe.scale, dtype)
        if recipe.add != 0.0:
            total += np.asarray(recipe.add, dtype)
        return total

    def array(self) -> np.ndarray:
        """The whole variable, of the recipe's shape and dtype."""
        axes = self.recipe.axes
        return self.render(Tile((0,) * len(axes), axes)).reshape(self.recipe.shape)

    def release(self) -> None:
        """Give back what reading the sources took."""
        for source in self.sources:
            source.storage.release()

    def _run(self, term: Term, tile: Tile) -> np.ndarray | None:
        """The tile as a view of its source, where one piece holds it in one run."""
        if self.recipe.reach > MAPPED_BYTES:
            return None
        for piece in term:
            part = _part(piece, tile)
            if part is not None:
                view, place = part
                elements = window(self.sources[view.source], view)
                whole = all(cut == slice(0, size) for cut, size in zip(place, tile.shape, strict=True))
                return (
                    elements if whole and elements.flags.c_contiguous and elements.dtype == self.recipe.dtype else None
                )
        return None

    def _gather(self, term: Term, tile: Tile, into: np.ndarray) -> None:
        large = self.recipe.reach > MAPPED_BYTES
        for piece in term:
            part = _part(piece, tile)
            if part is not None:
                view, place = part
                _read(into[place] if place else into, self.sources[view.source], view, large)


def _part(piece: Piece, tile: Tile) -> tuple[View, tuple[slice, ...]] | None:
    """What a tile has of a piece, and where in the tile that lands."""
    view, place = piece.view, []
    for axis, (low, high) in enumerate(zip(tile.start, tile.stop, strict=True)):
        first = max(low, piece.start[axis])
        count = min(high, piece.start[axis] + piece.view.shape[axis]) - first
        if count <= 0:
            return None
        view = view.cut(axis, first - piece.start[axis], count)
        place.append(slice(first - low, first - low + count))
    return view, tuple(place)


def _read(into: np.ndarray, source: Source, view: View, large: bool) -> None:
    """Copy a view; of a large one, no more of the file than :data:`MAPPED_BYTES` is in memory at any time."""
    item = source.dtype.itemsize
    if large and _touched(view, item) > MAPPED_BYTES and _is_file(source.storage.map()):
        axis = max((a for a, n in enumerate(view.shape) if n > 1), key=lambda axis: abs(view.strides[axis]))
        half, size = view.shape[axis] // 2, view.shape[axis]
        for start, stop in ((0, half), (half, size)):
            place = (*(slice(None) for _ in range(axis)), slice(start, stop))
            _read(into[place], source, view.cut(axis, start, stop - start), large)
        return
    elements = window(source, view)
    if elements.dtype == into.dtype:
        copy(into, elements)
    else:
        into[...] = elements
    if large:
        source.storage.drop_pages()


def _touched(view: View, item: int) -> int:
    """About how many bytes of a mapped file reading a view brings into memory."""
    span, rows = item, 1
    for size, step in sorted(zip(view.shape, view.strides, strict=True), key=lambda axis: abs(axis[1])):
        stride = abs(step) * item
        if stride <= span + FAULT_BYTES:
            span += (size - 1) * stride
        else:
            rows *= size
    return rows * (span + FAULT_BYTES)


def _is_file(array: np.ndarray) -> bool:
    """Whether an array lies in a mapped file, whose pages cost nothing to give back and read again."""
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner.obj if isinstance(owner, memoryview) else owner, mmap)


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
