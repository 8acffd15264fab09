"""Several settings of a window at once, where none alone explains the difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from remap.proving.cause import Cause
from remap.proving.causes import (
    ceil_mode,
    count_include_pad,
    dilation,
    kernel_size,
    output_padding,
    padding,
    padding_mode,
    padding_value,
    stride,
)
from remap.proving.numerics import transposed, window
from remap.proving.numerics.transposed import CropSetting
from remap.proving.numerics.window import WindowSetting
from remap.proving.site import Site
from remap.proving.trial import Trial

CAUSES: dict[str, Cause] = {
    WindowSetting.KERNEL: kernel_size.CAUSE,
    WindowSetting.STRIDES: stride.CAUSE,
    WindowSetting.DILATION: dilation.CAUSE,
    WindowSetting.PADS: padding.CAUSE,
    WindowSetting.MODE: padding_mode.CAUSE,
    WindowSetting.VALUE: padding_value.CAUSE,
    WindowSetting.COUNTS: count_include_pad.CAUSE,
    WindowSetting.CEIL: ceil_mode.CAUSE,
    CropSetting.STRIDES: stride.CAUSE,
    CropSetting.DILATION: dilation.CAUSE,
    CropSetting.PADDING: padding.CAUSE,
    CropSetting.OUTPUT_PADDING: output_padding.CAUSE,
}


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's values of two settings, then of more."""
    for settings, trial in chain(window.together(site), transposed.together(site)):
        causes = [CAUSES[setting] for setting in settings]
        title = " and ".join(cause.name for cause in causes)
        yield replace(trial, title=title, also=tuple(cause.code for cause in causes))


CAUSE = Cause(
    "V110",
    "several settings of a window",
    "several settings of a convolution or pooling differ at once",
    "model",
    "give the Keras layer PyTorch's settings",
    trials,
)
