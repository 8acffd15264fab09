"""Transposed copies at memory speed: small blocks through a padded scratch buffer.

A plain transposed copy walks one side with a stride of a whole row, missing the cache on nearly
every element. Blocks that stay in the second cache level keep both sides in long runs: each is
read in the order of the source and written in the order of the result. The padding keeps rows of
a power-of-two length from falling on the same cache lines.
"""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

BLOCK_BYTES = 256 * 1024
"""Bytes of a block, and the size up to which a plain copy is faster."""
RUN_BYTES = 2048
"""Bytes that a block reads in one row."""
LONG_BYTES = 256
"""Rows of this size are read as fast by a plain copy."""
PAD_BYTES = 64
"""One cache line."""


def copy(destination: np.ndarray, source: np.ndarray) -> None:
    """``destination[...] = source`` for arrays of one shape and dtype, in blocks where that is faster.

    Args:
        destination: Writable, C-ordered or nearly so.
        source: Any strides, negative and zero ones included.

    >>> a = np.arange(6).reshape(2, 3); b = np.empty((3, 2), a.dtype)
    >>> copy(b, a.T); b.tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    destination, source = _coalesce(destination, source)
    if destination.ndim < 2 or destination.nbytes <= BLOCK_BYTES or _reads_in_rows(source):
        destination[...] = source
        return
    order = sorted(range(source.ndim), key=lambda axis: -abs(source.strides[axis]))
    extents = _block_extents(source, order)
    scratch = _Scratch(source.dtype, [extents[axis] for axis in order], rows=order.index(source.ndim - 1) + 1)
    back = np.argsort(order)
    ranges = [range(0, size, extent) for size, extent in zip(source.shape, extents, strict=True)]
    for start in product(*ranges):
        box = tuple(slice(a, a + n) for a, n in zip(start, extents, strict=True))
        block = source[box].transpose(order)
        room = scratch.room(block.shape)
        room[...] = block
        destination[box] = room.transpose(back)


class _Scratch:
    """A buffer for blocks of at most ``shape``, whose first ``rows`` axes count padded rows."""

    def __init__(self, dtype: np.dtype, shape: list[int], rows: int) -> None:
        self._rows = rows
        self._pad = PAD_BYTES // dtype.itemsize
        self._buffer = np.empty(prod(shape[:rows]) * (prod(shape[rows:]) + self._pad), dtype)

    def room(self, shape: tuple[int, ...]) -> np.ndarray:
        run = prod(shape[self._rows :])
        padded = (*shape[: self._rows], run + self._pad)
        return self._buffer[: prod(padded)].reshape(padded)[..., :run].reshape(shape)


def _coalesce(destination: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both arrays as plain integers, axes of size 1 dropped and neighbours that are one row on both sides joined.

    Integers, since numpy copies the extended float dtypes element by element.
    """
    axes: list[tuple[int, int, int]] = []
    for size, to, by in zip(destination.shape, destination.strides, source.strides, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == size * to and axes[-1][2] == size * by:
            axes[-1] = (axes[-1][0] * size, to, by)
        else:
            axes.append((size, to, by))
    shape = tuple(size for size, _, _ in axes)
    return _strided(destination, shape, tuple(a[1] for a in axes)), _strided(source, shape, tuple(a[2] for a in axes))


def _strided(array: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    plain = array.view(f"u{array.dtype.itemsize}") if array.dtype.itemsize <= 8 else array
    return np.lib.stride_tricks.as_strided(plain, shape, strides, writeable=array.flags.writeable)


def _reads_in_rows(source: np.ndarray) -> bool:
    fastest = min(abs(step) for step in source.strides)
    long = source.shape[-1] * source.itemsize >= LONG_BYTES
    return abs(source.strides[-1]) == fastest and (long or source.strides[-1] == 0)


def _block_extents(source: np.ndarray, order: list[int]) -> list[int]:
    """Extents of a block: a read run along the source's fastest axes, then the result's fastest axis,
    then whatever else fits."""
    budget = max(BLOCK_BYTES // source.itemsize, 1)
    least = max(RUN_BYTES // source.itemsize, 1)
    extents = [1] * source.ndim
    last = source.ndim - 1
    for axis in reversed(order):
        run = prod(extents)
        if run >= least or axis == last:
            break
        extents[axis] = min(source.shape[axis], -(-least // run))
    for axis in (last, *reversed(order)):
        room = budget // (prod(extents) // extents[axis])
        extents[axis] = max(extents[axis], min(source.shape[axis], room))
    return extents
