"""Mean and variance in each other's place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.normalisation import normalisations
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.vocabulary.keras_layers import STATISTICS


def trials(site: Site) -> Iterator[Trial]:
    """The layer's own mean as its variance, and the other way round."""
    mean, variance = STATISTICS
    for norm in normalisations(site):
        held = norm.vectors()
        if mean in held and variance in held:
            swapped = {mean: held[variance], variance: held[mean]}
            yield Trial(
                f"{mean} from {variance}, {variance} from {mean}",
                partial(norm.step.rerun, None, swapped),
                norm.position,
            )


CAUSE = Cause(
    "V204",
    "statistics exchanged",
    "the Keras layer has the running mean as its variance, and the variance as its mean",
    "weights",
    "mend the layout of the rule",
    trials,
)
