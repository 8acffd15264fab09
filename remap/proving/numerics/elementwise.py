"""Steps that compute an activation: which one, and what each other one would make of the same input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, auto
from functools import partial

import numpy as np

from remap.proving.difference import largest_of
from remap.proving.forms import closest, forms
from remap.proving.limits import ALIKE, ALIKE_FLOOR, REPRODUCED
from remap.proving.numerics.activations import ActivationForm, NamedActivation, activations_with, single
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial

ROUNDED = "nothing is to be mended: Keras's backend rounds it, and that shows in double precision alone"


class ActivationFault(Enum):
    """How the activation that is there is apart from the one that is wanted."""

    EXTRA = auto()
    GELU_FORM = auto()
    HARD_SWISH_FORM = auto()
    HARD_SIGMOID_FORM = auto()
    OTHER = auto()
    ROUNDED = auto()
    PRECISION = auto()


def trials_of(site: Site, fault: ActivationFault) -> Iterator[Trial]:
    """Every activation in the place of the one that Keras has, as far as it is apart from it in one way."""
    yield from (trial for kind, trial in site.once(_of_steps) if kind is fault)
    yield from (trial for kind, trial in site.once(_of_unseen) if kind is fault)


def _of_steps(site: Site) -> list[tuple[ActivationFault, Trial]]:
    """For each step every activation: another one, or its own in double precision."""
    told = []
    for position, step in enumerate(site.steps):
        own = _own(step) if _elementwise(step) else None
        for wanted in _candidates(site).values() if own is not None else ():
            assert own is not None
            compute = partial(_then, site, position, step, wanted)
            if wanted.name == own.name:
                told.append(_more_exact(step, own, compute, position))
            else:
                hint = f"give the Keras layer the activation {wanted.name}"
                trial = Trial(f"{wanted.name} instead of {own.name}", compute, position, hint=hint)
                told.append((_fault(wanted, own), trial))
    return told


def _more_exact(
    step: Step, own: NamedActivation, compute: Callable[[], np.ndarray], position: int
) -> tuple[ActivationFault, Trial]:
    """What Keras has, in double precision; a constant is blamed where rounding it reproduces Keras's output."""
    with np.errstate(all="ignore"):
        rounded = activations_with(step.settings, single)[own.name](step.inputs[0])
    if np.allclose(rounded, step.output, rtol=0, atol=REPRODUCED * largest_of(step.output)):
        told = f"the constant of {own.name} in double precision, which Keras rounds to float32,"
        return ActivationFault.ROUNDED, Trial(told, compute, position, hint=ROUNDED)
    return ActivationFault.PRECISION, Trial(f"{own.name} in double precision throughout", compute, position)


def _elementwise(step: Step) -> bool:
    return step.weightless and len(step.inputs) == 1 and step.inputs[0].shape == step.output.shape


def _candidates(site: Site) -> dict[str, NamedActivation]:
    """All activations, those with PyTorch's own numbers included."""
    named: dict[str, NamedActivation] = {}
    for event in reversed(site.events):
        named |= activations_with(event.settings)
    return named or activations_with({})


def _own(step: Step) -> NamedActivation | None:
    """The activation that does what the step did; None where none does."""
    x, y = step.inputs[0], step.output
    for activation in activations_with(step.settings).values():
        with np.errstate(all="ignore"):
            made = activation(x)
        if np.allclose(made, y, rtol=ALIKE, atol=ALIKE_FLOOR * max(1.0, float(np.max(np.abs(y), initial=0.0)))):
            return activation
    return None


def _fault(wanted: NamedActivation, have: NamedActivation) -> ActivationFault:
    if wanted.form is ActivationForm.NONE:
        return ActivationFault.EXTRA
    if wanted.form is have.form is ActivationForm.GELU:
        return ActivationFault.GELU_FORM
    hard = (ActivationForm.HARD_SWISH, ActivationForm.HARD_SIGMOID)
    if wanted.form in hard and have.form in hard:
        swish = wanted.form is ActivationForm.HARD_SWISH
        return ActivationFault.HARD_SWISH_FORM if swish else ActivationFault.HARD_SIGMOID_FORM
    return ActivationFault.OTHER


def _then(site: Site, position: int, step: Step, activation: NamedActivation) -> np.ndarray:
    """The activation, and the rest of the steps where its output is none of PyTorch's values."""
    value = activation(step.inputs[0]).astype(step.output.dtype)
    near = site.against(value)
    if near is not None and near[0].largest <= site.allowed(near[1].output, near[1].noise):
        return value
    return site.through(position + 1, value)


def _of_unseen(site: Site) -> list[tuple[ActivationFault, Trial]]:
    """What Keras computes without a layer, told from PyTorch's own input of the activation."""
    have = site.unseen
    told = []
    for event in site.events if have is not None else ():
        assert have is not None
        if event.output.size != have.size or not event.inputs or event.inputs[0].shape != event.output.shape:
            continue
        own = _own(event) if closest(event.output, have) is not None else None
        if own is None:
            continue
        for other in _candidates(site).values():
            if other.name != own.name:
                text = f"Keras computes {other.name} where PyTorch computes {own.name}"
                hint = f"compute {own.name} in the Keras model"
                trial = Trial(text, partial(_formed, event, other, have), expected=have, hint=hint)
                told.append((_fault(own, other), trial))
        if site.tolerance.float64:
            rounded = activations_with(event.settings, single)[own.name]
            text = f"Keras computes {own.name} with a constant rounded to float32"
            trial = Trial(text, partial(_formed, event, rounded, have), expected=have, hint=ROUNDED)
            told.append((ActivationFault.ROUNDED, trial))
    return told


def _formed(event: Step, activation: NamedActivation, have: np.ndarray) -> np.ndarray:
    made = activation(event.inputs[0])
    best = closest(made, have)
    return best[0] if best is not None else next(forms(made, have.shape))
