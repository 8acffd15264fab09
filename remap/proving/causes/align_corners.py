"""Corners on corners, or edges on edges."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.resize import ResizeFault, trials_of
from remap.proving.numerics.stated import word

CAUSE = Cause(
    "V122",
    "align_corners",
    "PyTorch lays corners on corners, Keras edges on edges",
    "model",
    "Keras has no aligned corners: a layer of your own, or a PyTorch model with align_corners=False",
    partial(trials_of, fault=ResizeFault.CORNERS),
    word("align_corners"),
)
