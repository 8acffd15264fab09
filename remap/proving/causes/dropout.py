"""Dropout that the Keras model does not turn off."""

from __future__ import annotations

from collections.abc import Iterator

from remap.proving.cause import Cause
from remap.proving.numerics.left_out import random, without_each
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """The steps without the one that drops."""
    yield from (trial for step, trial in without_each(site) if random(step))


CAUSE = Cause(
    "V705",
    "dropout left on",
    "the Keras model drops values in inference mode too",
    "model",
    "call it without training=True",
    trials,
)
