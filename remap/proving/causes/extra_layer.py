"""A layer without weights that Keras has too much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from remap.proving.cause import Cause
from remap.proving.numerics.left_out import random, without_each
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """The steps without one of them."""
    for step, trial in without_each(site):
        if not random(step):
            yield replace(trial, title=f"extra {step.call.kind}")


CAUSE = Cause(
    "V706",
    "extra layer",
    "Keras computes something between the layers that PyTorch does not",
    "model",
    "take it out of the Keras model",
    trials,
)
