"""Another activation."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.elementwise import ActivationFault, trials_of

CAUSE = Cause(
    "V301",
    "activation",
    "the two compute another activation, or one with another slope",
    "model",
    "give the Keras layer PyTorch's activation",
    partial(trials_of, fault=ActivationFault.OTHER),
)
