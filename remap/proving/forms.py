"""One tensor in two layouts: the ways in which PyTorch's array can be read as Keras's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from math import prod
from operator import mul

import numpy as np

from remap.proving.difference import Difference, difference


def forms(array: np.ndarray, shape: tuple[int, ...], parts: bool = False) -> Iterator[np.ndarray]:
    """A PyTorch array in Keras's shape: as it is, channels moved last, the batch moved first
    or repeated, axes merged or split.

    Args:
        array: PyTorch's array.
        shape: Keras's shape; every form has it.
        parts: Whether a part of the last axis will do, where one module became several layers.

    >>> [form.shape for form in forms(np.zeros((1, 3, 8, 9)), (1, 8, 9, 3))]
    [(1, 8, 9, 3)]
    >>> [form.shape for form in forms(np.zeros((2, 5, 12)), (2, 5, 3, 4))]
    [(2, 5, 3, 4)]
    """
    size = prod(shape)
    for order in _orders(array.ndim) if array.size == size else ():
        moved = array.transpose(order)
        if moved.shape == shape or _regroups(moved.shape, shape):
            yield moved.reshape(shape)
    if array.ndim == 3 and len(shape) == 2 and (array.shape[0], array.shape[2]) == shape:
        yield array[:, -1]
    if (
        1 < len(shape) >= array.ndim
        and array.shape != shape
        and array.shape[-len(shape) + 1 :] == shape[1:]
        and array.size * shape[0] == size
    ):
        yield np.broadcast_to(array.reshape(shape[1:]), shape)
    for count in _cuts(array, shape) if parts and array.ndim and shape else ():
        for part in np.split(array, count, axis=-1):
            yield from forms(part, shape)


def _cuts(array: np.ndarray, shape: tuple[int, ...]) -> list[int]:
    """Into how many parts the last axis can be cut: by its length, and by the size of the whole."""
    size = prod(shape)
    width = array.shape[-1]
    counts = {width // max(shape[-1], 1): width % max(shape[-1], 1), array.size // max(size, 1): array.size % size}
    return [count for count, rest in counts.items() if count > 1 and not rest and not width % count]


def _orders(rank: int) -> Iterator[tuple[int, ...]]:
    """Orders of axes in which the two sides write one tensor, the likeliest first."""
    own = tuple(range(rank))
    if rank >= 3:
        yield (0, *own[2:], 1)
    yield own
    if rank >= 2:
        yield (1, 0, *own[2:])
    if rank >= 4:
        yield (0, 2, 1, *own[3:])
        yield (0, own[-1], *own[1:-1])


def _regroups(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether axes of one shape are products of neighbouring axes of the other, or ones.

    >>> _regroups((1, 5, 12), (1, 5, 3, 4)), _regroups((2, 6), (3, 4)), _regroups((1, 7, 1, 1), (1, 7))
    (True, False, True)
    """
    one, other = (set(accumulate(sizes, mul)) for sizes in (shape, wanted))
    return one <= other or other <= one


def closest(
    torch: np.ndarray, keras: np.ndarray, tolerance: float = 0.0, parts: bool = False, added: bool = True
) -> tuple[np.ndarray, Difference] | None:
    """PyTorch's array in the form that is nearest to Keras's, and how far it is; None where no form fits.

    Args:
        torch: PyTorch's array.
        keras: Keras's array.
        tolerance: A form that is as near as this ends the search.
        parts: See :func:`forms`.
        added: Whether a sample more at the end of Keras's array is no difference (:func:`sample_added`).
    """
    best: tuple[np.ndarray, Difference] | None = None
    for form in forms(torch, keras.shape, parts):
        apart = difference(form, keras)
        if best is None or apart.largest < best[1].largest:
            best = form, apart
        if apart.largest <= tolerance:
            break
    if (best is None or best[1].largest > tolerance) and added and sample_added(torch, keras):
        own = closest(torch, keras[:-1], tolerance, parts)
        if own is not None and (best is None or own[1].largest < best[1].largest):
            return np.concatenate([own[0], keras[-1:]]), own[1]
    return best


def sample_added(torch: np.ndarray, keras: np.ndarray) -> bool:
    """Whether Keras's array has the shape of PyTorch's with one sample more, as where a model adds an empty one.

    >>> sample_added(np.zeros((2, 3, 8, 9)), np.zeros((3, 8, 9, 3)))
    True
    """
    batch = len(torch) if torch.ndim > 1 else 0
    return keras.ndim > 1 and batch + 1 == len(keras) > 1 and torch.size * len(keras) == keras.size * batch
