"""A bias that is still zero."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.kernels import LAYOUT
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of


def trials(site: Site) -> Iterator[Trial]:
    """The checkpoint's bias in the place of zeros."""
    for position, step in enumerate(site.steps):
        bias = _checkpoint_bias(site, arrays_of(step.layer).get("bias"))
        if bias is not None:
            compute = partial(step.rerun, None, {"bias": bias})
            yield Trial("the checkpoint's bias instead of zeros", compute, position)


def _checkpoint_bias(site: Site, own: np.ndarray | None) -> np.ndarray | None:
    """The bias of the row's module, where the layer has zeros in its place."""
    for module in site.modules if own is not None and not np.any(own) else ():
        tensor = site.plan.checkpoint.get(f"{module}.bias" if module else "bias")
        if tensor is not None and own is not None and tensor.shape == own.shape:
            return np.array(tensor.array(), dtype=own.dtype)
    return None


CAUSE = Cause(
    "V406",
    "bias not loaded",
    "the Keras layer's bias is zero, and the checkpoint has one for its module",
    "weights",
    LAYOUT,
    trials,
)
