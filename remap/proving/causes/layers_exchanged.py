"""A layer that has the weights of another module than the one that it computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.sent import Sent, alike, calls_of, live_names, sent_here
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Crossing, Trial


def trials(site: Site) -> Iterator[Trial]:
    """The weights of every other layer of the same shapes, held against what their module gave."""
    for position, step in enumerate(site.steps):
        own = sent_here(site).get(step.name)
        names = live_names(step.layer, own) if own is not None else {}
        if own is None or not names:
            continue
        for other in alike(site, step, own):
            for against in calls_of(site, other.module) if other.module != own.module else ():
                yield _trial(position, step, own, other, names, against)
            if other.module == own.module or other.module not in site.torch.by_name:
                yield _trial(position, step, own, other, names, None)


def _trial(position: int, step: Step, own: Sent, other: Sent, names: Mapping[str, str], against: Step | None) -> Trial:
    theirs, title = other.title(own), own.title(other)
    return Trial(
        f"the weights of {theirs}",
        partial(_holding, step, other, names),
        position,
        hint=f"exchange their targets: {other.lines} has to send {theirs} to {own.layer}, "
        f"and {own.lines} has to send {title} elsewhere: {other.layer} is the first to try",
        against=against,
        why=f"{own.lines} sends {title} to {own.layer}; {own.layer} computes what {theirs} does, "
        f"which {other.lines} sends to {other.layer}",
        crossing=Crossing(own.layer, own.module, other.module, other.layer) if other.module != own.module else None,
    )


def _holding(step: Step, other: Sent, names: Mapping[str, str]) -> np.ndarray:
    value = step.rerun(None, other.weights(names))
    backwards = getattr(step.layer, "go_backwards", False) and getattr(step.layer, "return_sequences", False)
    return np.flip(value, 1) if backwards else value  # PyTorch gives both directions in the order of time


CAUSE = Cause(
    "V408",
    "layers exchanged",
    "a rule sends a module's weights to a layer that computes what another module does",
    "weights",
    "exchange the targets of the two rules, or the numbers in the rule's 'to'",
    trials,
)
