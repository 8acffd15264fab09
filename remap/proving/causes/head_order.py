"""Heads and their sizes in each other's places inside of a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.kernels import LAYOUT, convolves, reordered
from remap.proving.site import Site
from remap.proving.step import Step


def orders(site: Site, step: Step, kernel: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The last two axes, then the first two, split the other way round: before they were put in order, or after."""
    if kernel.ndim != 3 or convolves(step, kernel):
        return
    a, b, c = kernel.shape
    yield "with heads and their sizes exchanged", kernel.reshape(a, c, b).swapaxes(1, 2)
    yield "with heads and their sizes exchanged", kernel.reshape(b, a, c).swapaxes(0, 1)
    yield "with heads and their sizes exchanged", kernel.swapaxes(1, 2).reshape(kernel.shape)
    yield "with heads and their sizes exchanged", kernel.swapaxes(0, 1).reshape(kernel.shape)


CAUSE = Cause(
    "V405",
    "head order",
    "a kernel with an axis of heads was split with heads and their sizes in each other's places",
    "weights",
    LAYOUT,
    partial(reordered, orders=orders),
)
