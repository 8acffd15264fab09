"""Queries, keys and values in each other's places."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.attention import trials_of
from remap.proving.numerics.softmax import AttentionFault

CAUSE = Cause(
    "V503",
    "query, key, value exchanged",
    "attention takes the weights of query, key and value in each other's places",
    "weights",
    "mend the layout of the rule: it takes query, key and value in another order",
    partial(trials_of, fault=AttentionFault.ORDER),
)
