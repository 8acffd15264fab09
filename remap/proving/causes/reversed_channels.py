"""Input channels in reverse order, as BGR for RGB: in a layer, in PyTorch's network, or in the first kernel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.forms import closest
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial

TAKE_OUT = "the Keras model reverses the channels of its input: take that out, or turn the kernel by flip in the rule"
PUT_IN = "PyTorch reverses the channels of its input: do so before the first Keras layer, or by flip in the rule"
MEND = "mend the layout of the rule: it puts the kernel's input channels in reverse order"


def trials(site: Site) -> Iterator[Trial]:
    """The steps without the one that reverses; where none does, what the first of them makes of reversed channels."""
    reversing = [position for position, step in enumerate(site.steps) if _reverses(step)]
    for position in reversing:
        step = site.steps[position]
        compute = partial(site.through, position + 1, step.inputs[0])
        yield Trial(f"the channels not reversed by {step.name}", compute, position, hint=TAKE_OUT)
    first = site.steps[0] if site.steps and not reversing else None
    if first is None or len(first.inputs) != 1 or first.weightless or first.inputs[0].ndim < 2:
        return
    turned = _reversed(first)
    text, compute = "the channels of its input in reverse order", partial(site.through, 0, turned)
    if site.unseen is not None:
        yield Trial(text, compute, hint=TAKE_OUT)
    elif any(_given(site, event, turned) for event in site.events):
        yield Trial(text, compute)
    else:
        yield Trial("its kernel's input channels in reverse order", compute, blame="weights", hint=MEND)


def _axis(step: Step) -> int:
    return 1 if step.settings.get("data_format") == "channels_first" else -1


def _reversed(step: Step) -> np.ndarray:
    return np.ascontiguousarray(np.flip(step.inputs[0], _axis(step)))


def _reverses(step: Step) -> bool:
    """Whether all that a step does is to reverse its channels."""
    alike = step.weightless and len(step.inputs) == 1 and step.inputs[0].shape == step.output.shape
    return (
        alike
        and step.output.ndim > 1
        and not np.array_equal(step.inputs[0], step.output)
        and np.array_equal(_reversed(step), step.output)
    )


def _given(site: Site, event: Step, value: np.ndarray) -> bool:
    """Whether a value goes into PyTorch's call."""
    near = closest(event.inputs[0], value) if event.inputs else None
    return near is not None and near[1].largest <= site.allowed(event.inputs[0], None)


CAUSE = Cause(
    "V710",
    "reversed channels",
    "one side has the channels of the input in reverse order, as BGR for RGB",
    "model",
    PUT_IN,
    trials,
)
