"""Keras's steps without one of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial
from remap.sides.operation import Operation


def without_each(site: Site) -> Iterator[tuple[Step, Trial]]:
    """Each step that has no weights and is no padding, and what its neighbours make without it."""
    for position, step in enumerate(site.steps):
        if step.weightless and step.inputs and not step.pads:
            compute = partial(site.through, position + 1, step.inputs[0])
            yield step, Trial(f"{step.name} left out", compute, position)


def random(step: Step) -> bool:
    """Whether a step is there for training: dropout or noise."""
    return step.operation in (Operation.DROPOUT, Operation.NOISE)
