"""Parts of one layer, as the two directions of a recurrent one, that have each other's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from remap.planning.plan import Assignment
from remap.proving.cause import Cause
from remap.proving.limits import MOST_EXCHANGES
from remap.proving.numerics.sent import Sent, live_names, made, sent_here
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a layer.

    Args:
        name: What it is called below the layer.
        made: Its variables by the last component of their names.
        live: Names of the live weights, likewise.
    """

    name: str
    made: dict[str, Assignment]
    live: dict[str, str]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {end: assignment.shape for end, assignment in self.made.items()}

    @property
    def sources(self) -> str:
        return ", ".join(dict.fromkeys(name for assignment in self.made.values() for name in assignment.sources))

    @property
    def lines(self) -> list[str]:
        return [str(assignment.place) for assignment in self.made.values()]


def trials(site: Site) -> Iterator[Trial]:
    """Every two parts of the same shapes in each other's places."""
    for position, step in enumerate(site.steps):
        own = sent_here(site).get(step.name)
        names = live_names(step.layer, own) if own is not None else {}
        parts = _parts(own, names) if own is not None and names else []
        for one, other in list(combinations(parts, 2))[:MOST_EXCHANGES]:
            if one.shapes == other.shapes:
                yield _trial(position, step, one, other)


def _parts(own: Sent, names: Mapping[str, str]) -> list[_Part]:
    """The variables below a layer by the first component of their names."""
    parts: dict[str, _Part] = {}
    for name, assignment in own.parts.items():
        first, _, rest = name.partition("/")
        if rest:
            part, end = parts.setdefault(first, _Part(first, {}, {})), rest.rpartition("/")[2]
            part.made[end], part.live[end] = assignment, names[name]
    return list(parts.values())


def _trial(position: int, step: Step, one: _Part, other: _Part) -> Trial:
    lines = " and ".join(dict.fromkeys([*one.lines, *other.lines]))
    return Trial(
        f"{one.name} and {other.name} exchanged",
        partial(_exchanged, step, one, other),
        position,
        hint=f"exchange the two in {lines}: {other.sources} belongs into {one.name}",
        why=f"{lines} sends {one.sources} to {one.name} of {step.name}, which wants {other.sources}",
    )


def _exchanged(step: Step, one: _Part, other: _Part) -> np.ndarray:
    weights = {
        part.live[end]: made(assignment)
        for part, sender in ((one, other), (other, one))
        for end, assignment in sender.made.items()
    }
    return step.rerun(None, weights)


CAUSE = Cause(
    "V410",
    "parts exchanged",
    "two parts of one layer, as its two directions, have each other's weights",
    "weights",
    "exchange the two in the rule",
    trials,
)
