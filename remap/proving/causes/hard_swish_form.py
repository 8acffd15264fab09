"""Hard swish by x / 6 + 1 / 2, or by 0.2 x + 0.5."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.elementwise import ActivationFault, trials_of

CAUSE = Cause(
    "V303",
    "hard-swish form",
    "hard swish is clipped from x / 6 + 1 / 2 on one side, from 0.2 x + 0.5, as in Keras 2, on the other",
    "model",
    "give the Keras layer the activation hard_swish of Keras 3",
    partial(trials_of, fault=ActivationFault.HARD_SWISH_FORM),
)
