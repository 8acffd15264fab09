"""The input normalised inside of PyTorch's network, where Keras takes it as it comes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.fit import input_fit
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.operation import Operation

SHOWN = 4
"""Channels whose numbers are told."""


def trials(site: Site) -> Iterator[Trial]:
    """A factor and a shift by channel that make PyTorch's input of the first layer of Keras's."""
    fit = site.once(input_fit)
    if fit is None or (fit.uniform and fit.fitted.ndim < 4):
        return
    if not fit.unique:  # through two values a scale and a shift lead always
        return
    # rows that Keras does not add normalise nothing
    if any(event.operation is Operation.EMBEDDING for event in site.events):
        return
    numbers = f"{_numbers(fit.scale)} plus {_numbers(fit.shift)}"
    yield fit.trial(site, f"the input times {numbers} by channel, as PyTorch normalises it inside")


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in values[:SHOWN]) + (" ..." if len(values) > SHOWN else "")


CAUSE = Cause(
    "V702",
    "input not normalised inside",
    "PyTorch scales and shifts the channels of its input before the first layer, Keras does not",
    "model",
    "put a Rescaling or Normalization layer before it",
    trials,
)
