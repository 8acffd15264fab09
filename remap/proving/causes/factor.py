"""A value that is a multiple of PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.forms import closest
from remap.proving.limits import FACTOR
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """Keras's value times the number that brings it nearest to one of PyTorch's."""
    have = site.unseen if site.unseen is not None else (site.steps[-1].output if site.steps else None)
    for event in reversed(site.events):
        near = closest(event.output, have) if have is not None else None
        if near is None or have is None:
            continue
        ours, theirs = have.astype(np.float64), near[0].astype(np.float64)
        square = float(np.vdot(ours, ours))
        factor = float(np.vdot(ours, theirs)) / square if square else 1.0
        if abs(factor - 1) > FACTOR and factor:
            yield Trial(f"its output times {factor:.6g}", partial(np.multiply, have, factor), len(site.steps) - 1)


CAUSE = Cause(
    "V709",
    "scale",
    "Keras's value is a multiple of PyTorch's",
    "model",
    "a scale is left out, or applied twice",
    trials,
)
