"""A layer before a depth-to-space, a reshape or a shuffle that gives its channels in another order than that wants."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.forms import closest
from remap.proving.limits import MOST_DIVISIONS
from remap.proving.numerics.reorder import Stretch, orders
from remap.proving.numerics.sent import sent_here
from remap.proving.site import Site
from remap.proving.step import Step, again
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """The channels that go into the first step in every other order by which PyTorch's value comes out of it."""
    step = site.steps[0] if len(site.steps) > 1 else None
    if step is None or not step.weightless or not step.inputs or step.inputs[0].ndim < 3:
        return
    value = step.inputs[step.place]
    if not _rearranges(value, step.output):
        return
    for number, stretch in enumerate(orders(0, value.shape[-1])):
        if number > MOST_DIVISIONS:
            return
        moved = np.ascontiguousarray(value[..., stretch.indices])
        if _given(site, again(step, moved)):
            yield _trial(site, step, stretch, moved)


def _rearranges(value: np.ndarray, output: np.ndarray) -> bool:
    """Whether a step only puts numbers elsewhere."""
    alike = value.size == output.size and value.dtype == output.dtype
    return alike and np.array_equal(np.sort(value, None), np.sort(output, None))


def _given(site: Site, value: np.ndarray) -> bool:
    """Whether it is one of PyTorch's values at the place."""
    for event in site.events:
        near = closest(event.output, value) if event.output.size == value.size else None
        if near is not None and near[1].largest <= site.allowed(event.output, event.noise):
            return True
    return False


def _trial(site: Site, step: Step, stretch: Stretch, moved: np.ndarray) -> Trial:
    made_by = site.side.trace.producers.get(step.call.inputs[step.place])
    before = site.side.trace.calls[made_by].name if made_by is not None else ""
    sent = sent_here(site).get(before)
    divided = f"{stretch.shape} as {tuple(stretch.shape[axis] for axis in stretch.order)}"
    names = "abcd"[: len(stretch.shape)]
    one, other = " ".join(names), " ".join(names[axis] for axis in stretch.order)
    sizes = ", ".join(f"{name} = {size}" for name, size in zip(names[:-1], stretch.shape[:-1], strict=True))
    words = f"'({one}) ... -> ... ({other})', sizes = {{ {sizes} }}"
    return Trial(
        f"the channels that go into {step.name} in the order {divided}",
        partial(site.through, 0, moved),
        0,
        hint=f"{sent.lines if sent else 'the rule of the layer before'}: put the outputs of {before or 'it'} into that "
        f"order in its layout, in kernel and bias: axes = {words}",
        why=f"{step.name} wants the channels of {before or 'its input'} in another order than PyTorch has them",
    )


CAUSE = Cause(
    "V413",
    "output order",
    "a layer before a depth-to-space, a reshape or a shuffle gives its channels in another order than that wants",
    "weights",
    "say the order in the layout of the rule of the layer before",
    trials,
)
