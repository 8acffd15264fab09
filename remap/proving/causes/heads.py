"""Attention of another number of heads, or with its channels split otherwise."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.attention import trials_of
from remap.proving.numerics.softmax import AttentionFault
from remap.proving.numerics.stated import word

CAUSE = Cause(
    "V504",
    "heads",
    "attention has another number of heads, or gives them other channels",
    "model",
    "split the heads as PyTorch does: (heads, size of a head), and as many of them",
    partial(trials_of, fault=AttentionFault.HEADS),
    word("heads"),
)
