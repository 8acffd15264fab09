"""Cubic interpolation with another coefficient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from remap.proving.cause import Cause
from remap.proving.causes import align_corners
from remap.proving.numerics.resize import BICUBIC, ResizeFault, trials_of
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's coefficient; then its corners besides."""
    yield from trials_of(site, ResizeFault.COEFFICIENT)
    title = f"{align_corners.CAUSE.name} and {CAUSE.name}"
    for trial in trials_of(site, ResizeFault.BOTH):
        yield replace(trial, title=title, also=(align_corners.CAUSE.code,))


CAUSE = Cause(
    "V123",
    "bicubic coefficient",
    "PyTorch's cubic interpolation has the coefficient -0.75, TensorFlow's and JAX's -0.5",
    "model",
    BICUBIC.hint,
    trials,
)
