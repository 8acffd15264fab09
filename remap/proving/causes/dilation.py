"""Windows with gaps."""

from __future__ import annotations

from collections.abc import Iterator

from remap.proving.cause import Cause
from remap.proving.numerics import transposed, window
from remap.proving.numerics.stated import numbers
from remap.proving.numerics.window import WindowSetting
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's dilation."""
    yield from window.alone(site, WindowSetting.DILATION)
    yield from transposed.alone(site, transposed.CropSetting.DILATION)


CAUSE = Cause(
    "V103",
    "dilation",
    "the two leave gaps of another size inside of a window",
    "model",
    "give the Keras layer PyTorch's dilation",
    trials,
    numbers("dilation"),
)
