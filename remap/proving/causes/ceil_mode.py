"""A last window that hangs over the edge."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.window import WindowSetting, alone

CAUSE = Cause(
    "V108",
    "ceil_mode",
    "PyTorch's last window may hang over the edge, Keras's does not",
    "model",
    "pad the end of the map by what the last window reaches over: for a maximum by less than any number",
    partial(alone, setting=WindowSetting.CEIL),
)
