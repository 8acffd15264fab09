"""Windows that are taken further apart."""

from __future__ import annotations

from collections.abc import Iterator

from remap.proving.cause import Cause
from remap.proving.numerics import transposed, window
from remap.proving.numerics.stated import numbers
from remap.proving.numerics.window import WindowSetting
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's stride."""
    yield from window.alone(site, WindowSetting.STRIDES)
    yield from transposed.alone(site, transposed.CropSetting.STRIDES)


CAUSE = Cause(
    "V102",
    "stride",
    "the two take their windows another number of places apart",
    "model",
    "give the Keras layer PyTorch's stride",
    trials,
    numbers("stride"),
)
