"""The sizes of an input, and its place in Keras's layout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remap.sides.feed import KerasInput

SMALL = 32


def odd(size: int) -> int:
    """The next size that stays odd through strides of two: there ``same`` and symmetric padding coincide.

    >>> [odd(size) for size in (8, 64, 65, 224, 100)]
    [9, 65, 65, 225, 129]
    """
    step = SMALL
    while step > size:
        step //= 2
    return size if size % step == 1 or step == 1 else (size + step - 2) // step * step + 1


def to_keras(array: np.ndarray, entry: KerasInput | None) -> np.ndarray:
    """An input in Keras's layout: channels moved last where the model has them there.

    >>> to_keras(np.zeros((1, 3, 8, 9)), KerasInput("x", (8, 9, 3), "float32", channels_first=True)).shape
    (1, 8, 9, 3)
    """
    if array.ndim < 3 or (entry is None and array.ndim < 4):
        return array
    moved = np.ascontiguousarray(np.moveaxis(array, 1, -1))
    if entry is None:
        return moved
    fits = [_fits(form.shape[1:], entry.shape) for form in (array, moved)]
    if fits[1] and (entry.channels_first or not fits[0]):
        return moved
    return array


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(w is None or s == w for s, w in zip(shape, wanted, strict=True))
