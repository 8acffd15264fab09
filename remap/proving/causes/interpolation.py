"""Pixels made in another way."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.resize import ResizeFault, trials_of
from remap.proving.numerics.stated import word

CAUSE = Cause(
    "V121",
    "interpolation",
    "the two make new pixels in another way: nearest, linear or cubic",
    "model",
    "give the Keras layer that interpolation",
    partial(trials_of, fault=ResizeFault.KIND),
    word("mode"),
)
