"""GELU by tanh for GELU by erf, or the other way round."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.elementwise import ActivationFault, trials_of

CAUSE = Cause(
    "V302",
    "gelu tanh against erf",
    "one side computes GELU by erf, the other its approximation by tanh",
    "model",
    "give the Keras layer PyTorch's form: approximate=True is PyTorch's approximate='tanh'",
    partial(trials_of, fault=ActivationFault.GELU_FORM),
)
