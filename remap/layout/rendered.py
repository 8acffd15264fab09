"""Storage that is rendered from other tensors, tile by tile, so that none need be in memory whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from remap.layout.tiles import Value, tiles
from remap.tensors.computed import PIECE, ComputedStorage, Write
from remap.tensors.local_file import LocalFile, files_of

Change = Callable[[np.ndarray, tuple[slice, ...]], np.ndarray]
"""What becomes of a tile, given where in the value it lies: a record that can be called, so that it can be pickled."""


@dataclass(frozen=True, slots=True)
class RenderValue:
    """Makes the bytes of a value, and releases its sources in the end.

    Args:
        value: What to render; its axes are those of its shape.
        itemsize: Bytes of an element of what ``change`` gives.
        change: Applied to every tile; the tile stays as it is if None.
    """

    value: Value
    itemsize: int
    change: Change | None

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """Those that the sources lie in."""
        return tuple(file for source in self.value.sources for file in files_of(source.storage))

    def __call__(self, write: Write) -> None:
        recipe, itemsize = self.value.recipe, self.itemsize
        for tile in tiles(recipe, PIECE):
            numbers = self.value.render(tile)
            if self.change is not None:
                numbers = self.change(numbers, tuple(slice(a, b) for a, b in zip(tile.start, tile.stop, strict=True)))
            data = np.ascontiguousarray(numbers).reshape(-1).view(np.uint8).data
            done = 0
            for first, count in tile.runs(recipe.axes):
                write(first * itemsize, data[done : done + count * itemsize])
                done += count * itemsize
        self.value.release()


def rendered(value: Value, itemsize: int, place: str, change: Change | None = None) -> ComputedStorage:
    """The bytes of a value, made when they are first read.

    Args:
        value: See :class:`RenderValue`.
        itemsize: See :class:`RenderValue`.
        place: Where it comes from, for messages.
        change: See :class:`RenderValue`.
    """
    nbytes = value.recipe.nbytes // value.recipe.dtype.itemsize * itemsize
    return ComputedStorage(nbytes, place, RenderValue(value, itemsize, change))
