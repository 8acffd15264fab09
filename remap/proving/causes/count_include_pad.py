"""A mean that counts its padding, or does not."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.stated import word
from remap.proving.numerics.window import WindowSetting, alone

CAUSE = Cause(
    "V107",
    "count_include_pad",
    "one side counts the padding in the mean, the other does not",
    "model",
    "a ZeroPadding layer before it and padding='valid' count the padding, padding='same' does not",
    partial(alone, setting=WindowSetting.COUNTS),
    word("count_include_pad"),
)
