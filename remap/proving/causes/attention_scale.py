"""Attention whose scores have another factor."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.attention import trials_of
from remap.proving.numerics.softmax import AttentionFault
from remap.proving.numerics.stated import constant

CAUSE = Cause(
    "V501",
    "attention scale",
    "the two multiply the scores of attention by another number",
    "model",
    "give the Keras layer that scale",
    partial(trials_of, fault=AttentionFault.SCALE),
    constant("scale"),
)
