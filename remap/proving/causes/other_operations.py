"""Other operations between two layers than PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from remap.proving.cause import Cause
from remap.proving.forms import closest
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """The row's layer on PyTorch's own input of it, whatever made that."""
    if len(site.steps) < 2 or len(site.events) < 2 or not site.events[-1].inputs or not site.steps[-1].inputs:
        return
    last = site.steps[-1]
    near = closest(site.events[-1].inputs[0], last.inputs[0])
    theirs = ", ".join(dict.fromkeys(event.shown for event in site.events[:-1]))
    ours = ", ".join(dict.fromkeys(step.call.kind for step in site.steps[:-1]))
    if near is None or ours.lower() == theirs.lower() or site.lowered:  # the second says nothing, the third more
        return
    yield Trial(
        f"PyTorch's input of {last.name}, made by {theirs},",
        partial(site.through, len(site.steps) - 1, near[0].astype(last.inputs[0].dtype)),
        site.blamed,
        title=f"{ours} against {theirs}",
    )


CAUSE = Cause(
    "V708",
    "other operations",
    "the two compute something else between the same two layers",
    "model",
    "the layer itself is right: what comes before it is not",
    trials,
)
