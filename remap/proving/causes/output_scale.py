"""A scale, or a scale and an offset, behind the last layer on one side."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.forms import closest
from remap.proving.limits import FACTOR, FEWEST
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """Keras's output times a number, then times one plus another, as they bring it nearest to PyTorch's."""
    step = site.steps[-1] if site.steps else None
    have = step.output if step is not None else site.unseen
    outputs = {value for _, value in site.side.trace.outputs}
    if have is None or site.row.keras_value not in outputs or have.dtype.kind != "f" or not site.events:
        return
    near = closest(site.events[-1].output, have)
    if near is None or len(np.unique(have)) < FEWEST:
        return
    ours, wanted = have.astype(np.float64), near[0].astype(np.float64)
    for factor, offset in _fits(ours, wanted):
        if factor and (abs(factor - 1) > FACTOR or offset):
            yield Trial(
                f"its output {_told(factor, offset)}",
                partial(_scaled, ours, factor, offset),
                len(site.steps) - 1,
                hint=_hint(site, step, factor, offset),
            )


def _fits(ours: np.ndarray, wanted: np.ndarray) -> Iterator[tuple[float, float]]:
    """The factor alone, and the factor and offset, of least squares."""
    square, centred = float(np.vdot(ours, ours)), ours - ours.mean()
    yield float(np.vdot(ours, wanted)) / square, 0.0
    factor = float(np.vdot(centred, wanted - wanted.mean())) / float(np.vdot(centred, centred))
    yield factor, float(wanted.mean() - factor * ours.mean())


def _scaled(value: np.ndarray, factor: float, offset: float) -> np.ndarray:
    return value * factor + offset


def _told(factor: float, offset: float) -> str:
    """In words, without what changes nothing.

    >>> _told(2.0, 0.0), _told(2.0, -1.5), _told(1.0, 3.0)
    ('times 2', 'times 2 plus -1.5', 'plus 3')
    """
    parts = [f"times {factor:.6g}"] if abs(factor - 1) > FACTOR else []
    return " ".join([*parts, *([f"plus {offset:.6g}"] if offset else [])])


def _hint(site: Site, step: Step | None, factor: float, offset: float) -> str | None:
    """Take out what Keras has and PyTorch has not; else put in what PyTorch has."""
    if step is None:
        return "the Keras model scales its output outside of its layers: take that out"
    theirs = closest(site.events[-1].output, step.inputs[0]) if step.weightless and len(step.inputs) == 1 else None
    if theirs is not None and theirs[1].largest <= site.allowed(site.events[-1].output, None):
        return f"take {step.name} out of the Keras model: PyTorch's output is what goes into it"
    return f"put a Rescaling({factor:.6g}, {offset:.6g}) layer behind the last one of the Keras model"


CAUSE = Cause(
    "V711",
    "output scale",
    "one side multiplies the output by a number, or adds one, behind the last layer",
    "model",
    "put a Rescaling layer behind the last one, or take out the one that is there",
    trials,
)
