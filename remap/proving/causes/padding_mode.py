"""Padding by values of the map itself, on one side."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.window import WindowSetting, alone

CAUSE = Cause(
    "V105",
    "padding mode",
    "PyTorch pads with values of the map itself, Keras with zeros",
    "model",
    "pad in front of the Keras layer as PyTorch does, by ops.pad with that mode",
    partial(alone, setting=WindowSetting.MODE),
)
