"""The suspicions, one kind a module: each looks at the site and yields trials, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from remap.proving.causes import (
    activation,
    attention,
    glue,
    normalisation,
    positions,
    preprocessing,
    recurrent,
    resize,
    rotary,
    transposed,
    weights,
    window,
)
from remap.proving.site import Site
from remap.proving.trial import Trial

KINDS = (
    window.trials,
    transposed.trials,
    normalisation.trials,
    activation.trials,
    preprocessing.trials,
    positions.trials,
    resize.trials,
    rotary.trials,
    attention.trials,
    recurrent.trials,
    weights.trials,
    glue.trials,
)


def all_trials(site: Site) -> Iterator[Trial]:
    """Every suspicion about a site, the likeliest first."""
    return chain.from_iterable(kind(site) for kind in KINDS)
