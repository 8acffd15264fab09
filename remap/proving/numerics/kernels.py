"""Kernels in other orders, where shapes cannot tell: each tried in the place of the layer's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations

import numpy as np

from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of
from remap.sides.operation import CONVOLVING, Operation
from remap.sides.vocabulary.keras_layers import KERNELS

Orders = Callable[[Site, Step, np.ndarray], Iterator[tuple[str, np.ndarray]]]
"""Given a step and one of its kernels: other orders of its numbers, each in words that follow "the kernel"."""
LAYOUT = "mend the layout of the rule"


def reordered(site: Site, orders: Orders) -> Iterator[Trial]:
    """The kernels and tables of each suspected layer in other orders."""
    for position, step in enumerate(site.steps):
        for name, kernel in arrays_of(step.layer).items():
            if name.endswith(KERNELS):
                for text, changed in orders(site, step, kernel):
                    compute = partial(step.rerun, None, {name: changed})
                    yield Trial(f"the {name} {text}", compute, position)


def convolves(step: Step, kernel: np.ndarray) -> bool:
    """Whether a kernel has spatial axes in front of its inputs and outputs."""
    return kernel.ndim > 3 or (kernel.ndim == 3 and step.operation in (*CONVOLVING, Operation.CONVOLUTIONAL_LSTM))


def spatial_orders(kernel: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Other orders of a convolution's spatial axes, as far as their sizes allow them."""
    rank = kernel.ndim - 2
    for order in permutations(range(rank)):
        if order != tuple(range(rank)) and all(kernel.shape[a] == kernel.shape[b] for a, b in enumerate(order)):
            yield order
