"""The state of a recurrent layer with another activation."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.recurrent import activations_inside
from remap.proving.numerics.stated import word

CAUSE = Cause(
    "V601",
    "activation",
    "the state of a recurrent layer has another activation",
    "model",
    "give the Keras layer PyTorch's activation",
    partial(activations_inside, names=("activation",)),
    word("activation"),
)
