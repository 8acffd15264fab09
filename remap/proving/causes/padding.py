"""Another number of values put around the map, or on its other side."""

from __future__ import annotations

from collections.abc import Iterator

from remap.proving.cause import Cause
from remap.proving.numerics import transposed, window
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's padding."""
    yield from window.alone(site, window.WindowSetting.PADS)
    yield from transposed.alone(site, transposed.CropSetting.PADDING)


CAUSE = Cause(
    "V101",
    "padding",
    "the two put another number of values around the map, or put them on another side",
    "model",
    window.PADDING,
    trials,
)
