"""Running statistics that are not those of the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.normalisation import checkpoint_statistics, normalisations
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """The checkpoint's statistics."""
    for norm in normalisations(site):
        own = checkpoint_statistics(site, norm.vectors()) if norm.batch else {}
        if own:
            compute = partial(norm.step.rerun, None, own)
            yield Trial("the checkpoint's statistics", compute, norm.position)


CAUSE = Cause(
    "V205",
    "statistics",
    "the Keras layer has other statistics than the checkpoint has for its module",
    "weights",
    "mend the rule: it takes the statistics of another module, or changes them",
    trials,
)
