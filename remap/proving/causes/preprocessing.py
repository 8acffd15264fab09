"""Normalisation of the input on one side only: inside of the Keras model, or inside of PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from remap.proving.causes import window
from remap.proving.forms import closest
from remap.proving.site import Site
from remap.proving.trial import Trial

INSIDE = ("Rescaling", "Normalization")


def trials(site: Site) -> Iterator[Trial]:
    """The Keras model without its normalisation of the input; then with PyTorch's."""
    last = max((i for i, step in enumerate(site.steps) if step.call.kind in INSIDE), default=-1)
    if last >= 0:
        first = next(i for i, step in enumerate(site.steps) if step.call.kind in INSIDE)
        names = ", ".join(step.name for step in site.steps[first : last + 1])
        yield Trial(
            "input normalised inside",
            f"the input not normalised inside of the Keras model ({names} left out)",
            partial(_without, site, first, last),
            first,
            hint="build the Keras model without it (include_preprocessing=False), or give PyTorch the normalised input",
        )
        yield from _besides(site, first, last, names)
    if site.steps:
        yield from _missing(site)


def _besides(site: Site, first: int, last: int, names: str) -> Iterator[Trial]:
    """Without the normalisation, and with another padding or stride in the first layer besides."""
    rest = site.steps[last + 1 :]
    if not rest:
        return
    fed = replace(rest[0], inputs=site.steps[first].inputs)
    without = f"the input not normalised inside of the Keras model ({names} left out)"
    for trial in window.trials(replace(site, steps=[fed, *rest[1:]])):
        yield replace(
            trial,
            cause=f"input normalised inside, and {trial.cause}",
            step=first,
            text=f"{without}, and {trial.text} at {site.row.layer},",
            hint=f"build the Keras model without it (include_preprocessing=False); {trial.hint}",
        )


def _without(site: Site, first: int, last: int) -> np.ndarray:
    return site.through(last + 1, site.steps[first].inputs[0])


def _missing(site: Site) -> Iterator[Trial]:
    """PyTorch scales and shifts each channel before its first layer, Keras does not."""
    step, end = site.steps[0], site.events[-1] if site.events else None
    if end is None or not end.inputs or end is site.events[0]:
        return
    near = closest(end.inputs[0], step.inputs[0])
    if near is None or near[0].ndim < 2:
        return
    wanted, x = near[0].astype(np.float64), step.inputs[0].astype(np.float64)
    rows = tuple(range(x.ndim - 1))
    spread = x.var(rows)
    if np.any(spread == 0):
        return
    scale = ((x - x.mean(rows)) * (wanted - wanted.mean(rows))).mean(rows) / spread
    shift = wanted.mean(rows) - scale * x.mean(rows)
    fitted = scale * x + shift
    if np.max(np.abs(fitted - wanted)) > site.allowed(wanted, None):
        return
    if np.allclose(scale, 1) and np.allclose(shift, 0):
        return
    uniform = np.allclose(scale, scale.flat[0]) and np.allclose(shift, 0, atol=1e-6)
    if uniform and x.ndim < 4:
        yield Trial(
            "scale",
            f"its input times {scale.flat[0]:.6g}, as PyTorch has it,",
            partial(site.through, 0, fitted.astype(step.inputs[0].dtype)),
            site.blamed,
            hint="the Keras model lacks a scale",
        )
        return
    if x.size <= 2 * x.shape[-1]:  # through two values a scale and a shift lead always
        return
    if any(event.kind == "embedding" for event in site.events):  # rows that Keras does not add normalise nothing
        return
    told = f"the input times {_numbers(scale)} plus {_numbers(shift)} by channel, as PyTorch normalises it inside"
    yield Trial(
        "input not normalised inside",
        told,
        partial(site.through, 0, fitted.astype(step.inputs[0].dtype)),
        site.blamed,
        hint="put a Rescaling or Normalization layer before it",
    )


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in values[:4]) + (" ..." if len(values) > 4 else "")
