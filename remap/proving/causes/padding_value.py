"""Padding by zeros where the other side pads by nothing."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.window import WindowSetting, alone

CAUSE = Cause(
    "V106",
    "padding value",
    "one side counts zeros around the map, the other nothing",
    "model",
    "pad by what PyTorch pads by: a pooling's own padding is less than any number, a ZeroPadding layer's is zero",
    partial(alone, setting=WindowSetting.VALUE),
)
