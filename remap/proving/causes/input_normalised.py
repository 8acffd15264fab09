"""The input normalised inside of the Keras model, where PyTorch takes it as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.causes import (
    ceil_mode,
    count_include_pad,
    dilation,
    kernel_size,
    padding,
    padding_mode,
    padding_value,
    stride,
    window_settings,
)
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial
from remap.sides.operation import Operation

INSIDE = (Operation.RESCALING, Operation.INPUT_NORMALIZATION)
WINDOWS = (kernel_size, stride, dilation, padding, padding_mode, padding_value, count_include_pad, ceil_mode)


def trials(site: Site) -> Iterator[Trial]:
    """The Keras model without its normalisation; then with PyTorch's settings of the first layer besides."""
    places = [position for position, step in enumerate(site.steps) if step.operation in INSIDE]
    if not places or not _from_the_input(site, site.steps[places[0]]):
        return
    first, last = places[0], places[-1]
    names = ", ".join(step.name for step in site.steps[first : last + 1])
    text = f"the input not normalised inside of the Keras model ({names} left out)"
    yield Trial(text, partial(_without, site, first, last), first)
    rest = site.steps[last + 1 :]
    if not rest:
        return
    fed = replace(site, steps=[replace(rest[0], inputs=site.steps[first].inputs), *rest[1:]])
    for cause in (*(module.CAUSE for module in WINDOWS), window_settings.CAUSE):
        for trial in cause.trials(fed):
            yield replace(
                trial,
                title=f"{CAUSE.name}, and {trial.title or cause.name}",
                also=trial.also or (cause.code,),
                step=first,
                text=f"{text}, and {trial.text} at {site.row.layer},",
                hint="; ".join(
                    ["build the Keras model without it (include_preprocessing=False)", trial.hint or cause.hint]
                ),
            )


def _from_the_input(site: Site, step: Step) -> bool:
    """Whether no layer with weights stands between the model's input and a step."""
    keras, calls = site.side.trace, [step.call]
    while calls:
        made_by = [keras.producers.get(value) for value in calls.pop().inputs]
        if any(list(getattr(site.side.layer_of.get(call), "weights", ())) for call in made_by if call is not None):
            return False
        calls += [keras.calls[call] for call in made_by if call is not None]
    return True


def _without(site: Site, first: int, last: int) -> np.ndarray:
    return site.through(last + 1, site.steps[first].inputs[0])


CAUSE = Cause(
    "V701",
    "input normalised inside",
    "the Keras model normalises its input by itself, PyTorch takes it as it comes",
    "model",
    "build the Keras model without it (include_preprocessing=False), or give PyTorch the normalised input",
    trials,
)
