"""A window of another size."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.stated import numbers
from remap.proving.numerics.window import WindowSetting, alone

CAUSE = Cause(
    "V104",
    "kernel size",
    "the two slide windows of another size",
    "model",
    "give the Keras layer PyTorch's kernel size",
    partial(alone, setting=WindowSetting.KERNEL),
    numbers("kernel_size"),
)
