"""A kernel with its axes in another order, where they are of one size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.kernels import LAYOUT, convolves, reordered, spatial_orders
from remap.proving.site import Site
from remap.proving.step import Step


def orders(site: Site, step: Step, kernel: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Rows as columns; spatial axes in other orders; inputs as outputs; both."""
    if kernel.ndim == 2 and kernel.shape[0] == kernel.shape[1]:
        yield "transposed", np.ascontiguousarray(kernel.T)
    if convolves(step, kernel):
        yield from _of_convolution(kernel)
    elif kernel.ndim == 3:
        yield from _of_heads(kernel)


def _of_convolution(kernel: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    channels = (kernel.ndim - 2, kernel.ndim - 1)
    for order in spatial_orders(kernel):
        yield f"with its spatial axes in the order {order}", kernel.transpose(*order, *channels)
    if kernel.shape[-1] == kernel.shape[-2]:
        swapped = kernel.swapaxes(-1, -2)
        yield "with inputs and outputs exchanged", swapped
        for order in spatial_orders(kernel):
            text = f"with inputs and outputs exchanged and its spatial axes in the order {order}"
            yield text, swapped.transpose(*order, *channels)


def _of_heads(kernel: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    a, b, c = kernel.shape
    if a == b:
        yield "with its first axes exchanged", kernel.swapaxes(0, 1)
    if a == b * c:
        yield "transposed", kernel.reshape(a, a).T.reshape(kernel.shape)
    if c == a * b:
        yield "transposed", kernel.reshape(c, c).T.reshape(kernel.shape)


CAUSE = Cause(
    "V401",
    "transposition",
    "a kernel has its axes in another order, and no shape tells",
    "weights",
    LAYOUT,
    partial(reordered, orders=orders),
)
