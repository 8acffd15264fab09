"""Output channels of a convolution in another order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.kernels import LAYOUT, convolves, reordered
from remap.proving.site import Site
from remap.proving.step import Step


def orders(site: Site, step: Step, kernel: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Outputs from so many groups side by side; channel and multiplier of a depthwise kernel exchanged."""
    if not convolves(step, kernel):
        return
    for parts in range(2, kernel.shape[-1]):
        if kernel.shape[-1] % parts == 0:
            regrouped = kernel.reshape(*kernel.shape[:-1], parts, -1).swapaxes(-1, -2).reshape(kernel.shape)
            yield f"with its output channels regrouped from {parts} groups", regrouped
    if kernel.shape[-1] > 1:
        flat = kernel.reshape(*kernel.shape[:-2], -1)
        for parts in {kernel.shape[-1], kernel.shape[-2]}:
            if parts > 1 and flat.shape[-1] % parts == 0:
                regrouped = flat.reshape(*kernel.shape[:-2], parts, -1).swapaxes(-1, -2).reshape(kernel.shape)
                yield "with channel and multiplier exchanged", regrouped


CAUSE = Cause(
    "V403",
    "channel order",
    "the channels of a convolution's kernel stand in the order of other groups",
    "weights",
    LAYOUT,
    partial(reordered, orders=orders),
)
