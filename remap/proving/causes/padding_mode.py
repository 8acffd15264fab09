"""Padding by values of the map itself, on one side."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.window import WindowSetting, alone
from remap.sides.operation import Settings


def differs(torch: Settings, keras: Settings) -> tuple[str, str] | None:
    """Keras pads with zeros always."""
    mode = torch.get("padding_mode", "zeros")
    return (mode, "zeros") if mode != "zeros" else None


CAUSE = Cause(
    "V105",
    "padding mode",
    "PyTorch pads with values of the map itself, Keras with zeros",
    "model",
    "pad in front of the Keras layer as PyTorch does, by ops.pad with that mode",
    partial(alone, setting=WindowSetting.MODE),
    differs,
)
