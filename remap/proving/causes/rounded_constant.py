"""A constant that one side rounds to single precision."""

from __future__ import annotations

from collections.abc import Iterator

from remap.proving.cause import Cause
from remap.proving.numerics import attention, elementwise
from remap.proving.numerics.softmax import AttentionFault
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """The constant of an activation as it is; then the scale of an attention rounded, or not rounded."""
    yield from elementwise.trials_of(site, elementwise.ActivationFault.ROUNDED)
    yield from attention.trials_of(site, AttentionFault.ROUNDED)


CAUSE = Cause(
    "V801",
    "constant rounded to float32",
    "Keras's backend passes a constant through a tensor or an attribute in single precision",
    "rounding",
    elementwise.ROUNDED,
    trials,
)
