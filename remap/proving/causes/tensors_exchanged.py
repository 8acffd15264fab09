"""One variable of a layer that has the numbers of another layer's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.planning.plan import Assignment
from remap.proving.cause import Cause
from remap.proving.limits import MOST_EXCHANGES
from remap.proving.numerics.sent import Sent, layer_of, likeness, live_names, made, sent_here
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Crossing, Trial


def trials(site: Site) -> Iterator[Trial]:
    """Each variable made from what every other variable of its name and shape is made from."""
    for position, step in enumerate(site.steps):
        own = sent_here(site).get(step.name)
        names = live_names(step.layer, own) if own is not None else {}
        if own is None or len(names) < 2:
            continue
        for name, live in names.items():
            for other in _others(site, own, name):
                yield _trial(site, position, step, own, name, other, live)


def _others(site: Site, own: Sent, name: str) -> list[Assignment]:
    """Other variables of the same name and shape, those that stand in layers of the nearest names first."""
    mine, last = own.parts[name], name.rpartition("/")[2]
    others = {
        id(assignment): assignment
        for group in sent_here(site).values()
        for below, assignment in group.parts.items()
        if below == last and assignment.shape == mine.shape and assignment not in own.parts.values()
    }
    near = sorted(others.values(), key=lambda other: -likeness(mine.name, other.name))
    return near[:MOST_EXCHANGES]


def _trial(site: Site, position: int, step: Step, own: Sent, name: str, other: Assignment, live: str) -> Trial:
    mine = own.parts[name]
    title, theirs = ", ".join(mine.sources), ", ".join(other.sources)
    return Trial(
        f"{theirs} as its {live}",
        partial(_holding, step, live, other),
        position,
        hint=f"exchange what the two are made from: {other.place} has to send {theirs} to {mine.name}",
        why=f"{mine.place} sends {title} to {mine.name}, which wants {theirs}; "
        f"{other.place} sends that to {other.name}",
        crossing=_crossing(site, own, name, other),
    )


def _crossing(site: Site, own: Sent, name: str, other: Assignment) -> Crossing | None:
    """What both layers compute: the modules that their other variables come from."""
    layer = layer_of(site.plan, other)
    theirs = sent_here(site).get(layer)
    last = name.rpartition("/")[2]
    here = [part.link.holder for below, part in own.parts.items() if below != name and part.link is not None]
    there = [part.link.holder for below, part in theirs.parts.items() if below != last and part.link] if theirs else []
    return Crossing(own.layer, there[0], here[0], layer) if here and there else None


def _holding(step: Step, live: str, other: Assignment) -> np.ndarray:
    return step.rerun(None, {live: made(other)})


CAUSE = Cause(
    "V409",
    "tensors exchanged",
    "a variable of a layer is made from the tensor that another layer's should be made from",
    "weights",
    "exchange the two tensors in the rules",
    trials,
)
