"""An activation that is computed less exactly."""

from __future__ import annotations

from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.elementwise import ActivationFault, trials_of

HALF_HINT = (
    "compare with a model in single precision: keras.config.set_dtype_policy('float32') before it is built, or "
    "module.float() in PyTorch; the same weights fit both"
)
"""Where one side computes in float16 or bfloat16, by a policy such as mixed_float16."""
CAUSE = Cause(
    "V802",
    "precision",
    "one side computes in single precision what the other computes in double",
    "rounding",
    "give what computes in single precision the dtype float64, or compare without --float64",
    partial(trials_of, fault=ActivationFault.PRECISION),
)
