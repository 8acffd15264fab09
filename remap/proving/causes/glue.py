"""What lies between the layers that have weights: something too much, something too little, a factor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.forms import closest
from remap.proving.site import Site
from remap.proving.trial import Trial

CONTRACTIONS = ("matmul", "bmm", "baddbmm", "einsum", "linear", "conv", "scaled_dot_product_attention")
"""How PyTorch's functions that take products of whole tensors begin: no Keras model leaves such a one out."""


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's dropout is on; each Keras step left out; each of PyTorch's left out; a factor."""
    yield from _torch_dropout(site)
    for position, step in enumerate(site.steps):
        if list(getattr(step.layer, "weights", ())) or not step.inputs or step.call.kind.startswith("ZeroPadding"):
            continue
        dropout = any("Dropout" in base.__name__ or "Noise" in base.__name__ for base in type(step.layer).__mro__)
        yield Trial(
            "dropout left on" if dropout else f"extra {step.call.kind}",
            f"{step.name} left out",
            partial(site.through, position + 1, step.inputs[0]),
            position,
            hint="call it without training=True" if dropout else "take it out of the Keras model",
        )
    yield from _missing(site)
    yield from _factor(site)


def _torch_dropout(site: Site) -> Iterator[Trial]:
    for event in site.events:
        if "dropout" in event.kind and event.inputs and not np.array_equal(event.inputs[0], event.output):
            have = site.unseen if site.unseen is not None else (site.steps[0].inputs[0] if site.steps else None)
            if have is not None and closest(event.inputs[0], have) is not None:
                yield Trial(
                    "dropout left on",
                    "PyTorch's own dropout is on, and Keras has its input",
                    partial(_aligned, event.inputs[0], have),
                    expected=have,
                    blame="torch",
                    hint="F.dropout needs training=self.training",
                )


def _missing(site: Site) -> Iterator[Trial]:
    """The row's layer on PyTorch's own input of it: everything before it that Keras lacks, at once."""
    if not site.steps or len(site.events) < 2:
        return
    last, end = site.steps[-1], site.events[-1]
    if not end.inputs or not last.inputs:
        return
    left_out = site.events[:-1] if site.unseen is None else []  # else Keras computes something there, not nothing
    for count, event in enumerate(left_out, 1):
        made = closest(event.output, site.steps[0].inputs[0])
        before = [step for step in site.events[:count] if step.output.dtype.kind == "f"]
        if any(step.kind.startswith(CONTRACTIONS) for step in before):
            break
        if made is not None and before:
            yield Trial(
                f"missing {', '.join(dict.fromkeys(step.kind for step in before))}",
                f"{', '.join(dict.fromkeys(step.call.title for step in before))} before it, as PyTorch computes it,",
                partial(site.through, 0, made[0].astype(site.steps[0].inputs[0].dtype)),
                site.blamed,
                hint="the Keras model leaves it out",
            )
    yield from _summand(site)
    near = closest(end.inputs[0], last.inputs[0])
    if near is None or len(site.steps) == 1:
        return
    theirs = ", ".join(dict.fromkeys(event.kind for event in site.events[:-1]))
    ours = ", ".join(dict.fromkeys(step.call.kind for step in site.steps[:-1]))
    if ours.lower() == theirs.lower() or site.lowered:  # the first says nothing, the second more
        return
    yield Trial(
        f"{ours} against {theirs}",
        f"PyTorch's input of {last.name}, made by {theirs},",
        partial(site.through, len(site.steps) - 1, near[0].astype(last.inputs[0].dtype)),
        site.blamed,
        hint="the layer itself is right: what comes before it is not",
    )


def _summand(site: Site) -> Iterator[Trial]:
    """Keras's value, however it was made, lacks something that PyTorch adds."""
    if site.unseen is None or site.unseen.dtype.kind != "f":
        return
    for event in site.events[:-1]:
        near = closest(event.output, site.unseen) if event.output.dtype.kind == "f" else None
        if near is not None:
            yield Trial(
                f"missing {event.kind}",
                f"what PyTorch's {event.call.title} gives added to the input of {site.steps[0].name}",
                partial(site.through, 0, (site.unseen + near[0]).astype(site.unseen.dtype)),
                site.blamed,
                hint="the Keras model leaves it out",
            )


def _factor(site: Site) -> Iterator[Trial]:
    """Keras's value is a multiple of PyTorch's."""
    have = site.unseen if site.unseen is not None else (site.steps[-1].output if site.steps else None)
    for event in reversed(site.events):
        near = closest(event.output, have) if have is not None else None
        if near is None or have is None:
            continue
        square = float(np.vdot(have.astype(np.float64), have.astype(np.float64)))
        factor = float(np.vdot(have.astype(np.float64), near[0].astype(np.float64))) / square if square else 1.0
        if abs(factor - 1) > 1e-6 and factor:
            yield Trial(
                "scale",
                f"its output times {factor:.6g}",
                partial(np.multiply, have, factor),
                len(site.steps) - 1,
                hint="a scale is left out, or applied twice",
            )


def _aligned(array: np.ndarray, like: np.ndarray) -> np.ndarray:
    near = closest(array, like)
    return near[0] if near is not None else array
