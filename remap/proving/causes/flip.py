"""A kernel that is turned round."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.kernels import LAYOUT, convolves, reordered
from remap.proving.site import Site
from remap.proving.step import Step


def orders(site: Site, step: Step, kernel: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The last value of each spatial axis first."""
    if convolves(step, kernel):
        yield "flipped along its spatial axes", np.flip(kernel, tuple(range(kernel.ndim - 2)))


CAUSE = Cause(
    "V402",
    "flip",
    "a convolution's kernel is turned round along its spatial axes",
    "weights",
    LAYOUT,
    partial(reordered, orders=orders),
)
