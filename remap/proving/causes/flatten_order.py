"""Rows or columns of a matrix in the order of another flatten."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import permutations

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.kernels import LAYOUT, reordered
from remap.proving.site import Site
from remap.proving.step import Step

MOST_AXES = 4
"""A map has channels and at most three spatial axes."""


def orders(site: Site, step: Step, kernel: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The rows, and then the columns, in the order of another flatten."""
    for shape in _maps(site, step) if kernel.ndim == 2 else ():
        for order in permutations(range(len(shape))) if len(shape) <= MOST_AXES else ():
            if order == tuple(range(len(shape))):
                continue
            moved = np.arange(int(np.prod(shape))).reshape(shape).transpose(order).ravel()
            if len(moved) == kernel.shape[0]:
                yield f"rows reordered from a flatten of {shape} by {order}", kernel[moved]
            if len(moved) == kernel.shape[1]:
                yield f"columns reordered from a flatten of {shape} by {order}", kernel[:, moved]


def _maps(site: Site, step: Step) -> Iterator[tuple[int, ...]]:
    """Shapes of maps, channels first and last, whose flattening feeds the step or follows it."""
    seen = set()
    size = step.inputs[0].shape[-1] if step.inputs else 0
    for value in (*site.torch.values, *site.side.trace.values):
        if value.ndim >= 3 and value[0].size in (size, step.output.shape[-1]) and value.shape[1:] not in seen:
            shape = value.shape[1:]
            for own in (shape, (*shape[1:], shape[0]), (shape[-1], *shape[:-1])):
                if own not in seen:
                    seen.add(own)
                    yield own


CAUSE = Cause(
    "V404",
    "flatten order",
    "a matrix behind or before a flatten has its rows or columns in the other side's order of the map",
    "weights",
    LAYOUT,
    partial(reordered, orders=orders),
)
