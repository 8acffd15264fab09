"""The vectors of a normalisation in each other's places."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import permutations

from remap.proving.cause import Cause
from remap.proving.numerics.normalisation import normalisations
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.vocabulary.keras_layers import STATISTICS


def trials(site: Site) -> Iterator[Trial]:
    """Gamma, beta and the statistics in every other order, but for that of the statistics alone."""
    for norm in normalisations(site):
        held = norm.vectors()
        for order in permutations(held):
            moved = {name: source for name, source in zip(held, order, strict=True) if name != source}
            if set(moved) <= set(STATISTICS):
                continue
            yield Trial(
                ", ".join(f"{name} from {source}" for name, source in moved.items()),
                partial(norm.step.rerun, None, {n: held[s] for n, s in moved.items()}),
                norm.position,
            )


CAUSE = Cause(
    "V207",
    "weights exchanged",
    "gamma, beta or the statistics of a normalisation stand in each other's places",
    "weights",
    "mend the layout of the rule",
    trials,
)
