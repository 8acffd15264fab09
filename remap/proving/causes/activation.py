"""Another activation than PyTorch's: GELU by tanh for GELU by erf, a slope, a form of hard-swish, or none at all.

Or the same, less exactly: in double precision a constant that one side rounds to float32 shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from remap.proving.causes.functions import PRECISION, ROUNDED, ROUNDED_HINT, Array, apply, functions_with, single
from remap.proving.difference import largest_of
from remap.proving.forms import closest, forms
from remap.proving.site import Site, Step
from remap.proving.trial import Trial

REPRODUCED = 1e-13
"""A value in double precision is the same as another where they are no further apart, relative to the largest."""


def trials(site: Site) -> Iterator[Trial]:
    """Every activation in the place of the one that Keras has; then what Keras has, where it was not seen."""
    for position, step in enumerate(site.steps):
        if not _elementwise(step):
            continue
        own = _name(step)
        for name, function in _candidates(site).items():
            compute = partial(_then, site, position, step, function)
            if name == own:
                yield _more_exact(step, own, compute, position)
            else:
                hint = f"give the Keras layer the activation {name}"
                yield Trial(_cause(name, own), f"{name} instead of {own}", compute, position, hint=hint)
    if site.unseen is not None:
        yield from _unseen(site)


def _more_exact(step: Step, own: str, compute: Callable[[], np.ndarray], position: int) -> Trial:
    """What Keras has, in double precision; a constant is blamed where rounding it reproduces Keras's output."""
    with np.errstate(all="ignore"):
        rounded = apply(functions_with(step.settings, single)[own], step.inputs[0])
    if np.allclose(rounded, step.output, rtol=0, atol=REPRODUCED * largest_of(step.output)):
        told = f"the constant of {own} in double precision, which Keras rounds to float32,"
        return Trial(ROUNDED, told, compute, position, "rounding", ROUNDED_HINT)
    return Trial(PRECISION, f"{own} in double precision throughout", compute, position, "rounding")


def _elementwise(step: Step) -> bool:
    weightless = not list(getattr(step.layer, "weights", ()))
    return weightless and len(step.inputs) == 1 and step.inputs[0].shape == step.output.shape and _name(step) != ""


def _candidates(site: Site) -> dict[str, Callable[[Array], Array]]:
    """All activations, those with PyTorch's own numbers included."""
    found: dict[str, Callable[[Array], Array]] = {}
    for event in reversed(site.events):
        found |= functions_with(event.settings)
    return found or functions_with({})


def _name(step: Step) -> str:
    """The activation that does what the step did; empty where none does."""
    x, y = step.inputs[0], step.output
    for name, function in functions_with(step.settings).items():
        with np.errstate(all="ignore"):
            made = apply(function, x)
        if np.allclose(made, y, rtol=1e-5, atol=1e-6 * max(1.0, float(np.max(np.abs(y), initial=0.0)))):
            return name
    return ""


def _cause(name: str, own: str) -> str:
    if name.startswith("gelu") and own.startswith("gelu"):
        return "gelu tanh against erf"
    if name.startswith("hard") and own.startswith("hard"):
        return "hard-swish form" if "swish" in name else "hard-sigmoid form"
    if name.startswith("linear"):
        return "extra activation"
    return "activation"


def _then(site: Site, position: int, step: Step, function: Callable[[Array], Array]) -> np.ndarray:
    """The activation, and the rest of the steps where its output is none of PyTorch's values."""
    value = apply(function, step.inputs[0]).astype(step.output.dtype)
    near = site.against(value)
    if near is not None and near[0].largest <= site.allowed(near[1].output, near[1].noise):
        return value
    return site.through(position + 1, value)


def _unseen(site: Site) -> Iterator[Trial]:
    """What Keras computes without a layer, told from PyTorch's own input of the activation."""
    have = site.unseen
    assert have is not None
    for event in site.events:
        if event.output.size != have.size or not event.inputs or event.inputs[0].shape != event.output.shape:
            continue
        if closest(event.output, have) is None:
            continue
        own = _name(event)
        if not own:
            continue
        for name, function in _candidates(site).items():
            if name != own:
                yield Trial(
                    _cause(own, name),
                    f"Keras computes {name} where PyTorch computes {own}",
                    partial(_form, event, function, have),
                    expected=have,
                    hint=f"compute {own} in the Keras model",
                )
        if site.tolerance.float64:
            yield Trial(
                ROUNDED,
                f"Keras computes {own} with a constant rounded to float32",
                partial(_form, event, functions_with(event.settings, single)[own], have),
                expected=have,
                blame="rounding",
                hint=ROUNDED_HINT,
            )


def _form(event: Step, function: Callable[[Array], Array], have: np.ndarray) -> np.ndarray:
    made = apply(function, event.inputs[0])
    best = closest(made, have)
    return best[0] if best is not None else next(forms(made, have.shape))
