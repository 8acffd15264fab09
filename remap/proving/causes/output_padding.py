"""What a transposed convolution adds at the end of its output."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.transposed import CROPPED, CropSetting, alone

CAUSE = Cause(
    "V109",
    "output_padding",
    "the two end a transposed convolution's output at another place",
    "model",
    CROPPED,
    partial(alone, setting=CropSetting.OUTPUT_PADDING),
)
