"""A last window that hangs over the edge."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.window import WindowSetting, alone
from remap.sides.operation import Settings


def differs(torch: Settings, keras: Settings) -> tuple[str, str] | None:
    """Keras's last window never hangs over the edge."""
    return ("True", "False") if torch.get("ceil_mode") else None


CAUSE = Cause(
    "V108",
    "ceil_mode",
    "PyTorch's last window may hang over the edge, Keras's does not",
    "model",
    "pad the end of the map by what the last window reaches over: for a maximum by less than any number",
    partial(alone, setting=WindowSetting.CEIL),
    differs,
)
