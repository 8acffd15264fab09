"""Running statistics that are still those of a fresh layer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.normalisation import checkpoint_statistics, normalisations
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.vocabulary.keras_layers import STATISTICS


def trials(site: Site) -> Iterator[Trial]:
    """The checkpoint's statistics in the place of zeros and ones."""
    mean, variance = STATISTICS
    for norm in normalisations(site):
        held = norm.vectors()
        own = checkpoint_statistics(site, held) if norm.batch else {}
        if own and not np.any(held[mean]) and np.all(held[variance] == 1):
            compute = partial(norm.step.rerun, None, own)
            yield Trial("the checkpoint's statistics instead of zeros and ones", compute, norm.position)


CAUSE = Cause(
    "V203",
    "statistics not loaded",
    "the Keras layer has the statistics that it was born with, the checkpoint has others",
    "weights",
    "let the rule move running_mean and running_var, instead of keeping what the model has",
    trials,
)
