"""An activation where PyTorch has none."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.elementwise import ActivationFault, trials_of

CAUSE = Cause(
    "V305",
    "extra activation",
    "Keras computes an activation where PyTorch computes none",
    "model",
    "take the activation out of the Keras model",
    partial(trials_of, fault=ActivationFault.EXTRA),
)
