"""Storage that is rendered from other tensors, tile by tile, so that none need be in memory whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from remap.layout.tiles import Value, tiles
from remap.tensors.computed import PIECE, ComputedStorage, Write

Change = Callable[[np.ndarray, tuple[slice, ...]], np.ndarray]
"""What becomes of a tile, given where in the value it lies."""


def rendered(value: Value, itemsize: int, place: str, change: Change = lambda tile, _: tile) -> ComputedStorage:
    """The bytes of a value, made when they are first read.

    Args:
        value: What to render; its axes are those of its shape. Its sources are released in the end.
        itemsize: Bytes of an element of what ``change`` gives.
        place: Where it comes from, for messages.
        change: Applied to every tile.
    """
    axes = value.recipe.axes

    def make(write: Write) -> None:
        for tile in tiles(value.recipe, PIECE):
            box = tuple(slice(a, b) for a, b in zip(tile.start, tile.stop, strict=True))
            data = np.ascontiguousarray(change(value.render(tile), box)).reshape(-1).view(np.uint8).data
            done = 0
            for first, count in tile.runs(axes):
                write(first * itemsize, data[done : done + count * itemsize])
                done += count * itemsize
        value.release()

    return ComputedStorage(value.recipe.nbytes // value.recipe.dtype.itemsize * itemsize, place, make)
