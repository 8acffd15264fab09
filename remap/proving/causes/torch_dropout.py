"""Dropout that PyTorch's network does not turn off."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.forms import closest
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.operation import Operation


def trials(site: Site) -> Iterator[Trial]:
    """What went into PyTorch's dropout, against what Keras has there."""
    have = site.unseen if site.unseen is not None else (site.steps[0].inputs[0] if site.steps else None)
    for event in site.events if have is not None else ():
        assert have is not None
        changed = event.inputs and not np.array_equal(event.inputs[0], event.output)
        if event.operation is Operation.DROPOUT and changed and closest(event.inputs[0], have) is not None:
            text = "PyTorch's own dropout is on, and Keras has its input"
            yield Trial(text, partial(_aligned, event.inputs[0], have), expected=have)


def _aligned(array: np.ndarray, like: np.ndarray) -> np.ndarray:
    near = closest(array, like)
    return near[0] if near is not None else array


CAUSE = Cause(
    "V704",
    "dropout left on",
    "PyTorch's network drops values in inference mode too",
    "torch",
    "F.dropout needs training=self.training",
    trials,
)
