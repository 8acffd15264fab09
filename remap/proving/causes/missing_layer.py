"""Something between the layers that PyTorch computes and Keras does not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from remap.proving.cause import Cause
from remap.proving.forms import closest
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.operation import CONVOLVING, Operation

CONTRACTIONS = (Operation.MATMUL, Operation.EINSUM, Operation.LINEAR, *CONVOLVING)
"""What takes products of whole tensors, as attention does too: no Keras model leaves such a one out."""


def trials(site: Site) -> Iterator[Trial]:
    """The row's layer on PyTorch's own input of it: everything before it that Keras lacks, at once."""
    if not site.steps or len(site.events) < 2 or not site.events[-1].inputs or not site.steps[-1].inputs:
        return
    left_out = site.events[:-1] if site.unseen is None else []  # else Keras computes something there, not nothing
    for count, event in enumerate(left_out, 1):
        made = closest(event.output, site.steps[0].inputs[0])
        before = [step for step in site.events[:count] if step.output.dtype.kind == "f"]
        if any(step.operation in CONTRACTIONS or step.attends for step in before):
            break
        if made is not None and before:
            yield Trial(
                f"{', '.join(dict.fromkeys(step.call.title for step in before))} before it, as PyTorch computes it,",
                partial(site.through, 0, made[0].astype(site.steps[0].inputs[0].dtype)),
                site.blamed,
                title=f"missing {', '.join(dict.fromkeys(step.shown for step in before))}",
            )
    yield from _summand(site)


def _summand(site: Site) -> Iterator[Trial]:
    """Keras's value, however it was made, lacks something that PyTorch adds."""
    if site.unseen is None or site.unseen.dtype.kind != "f":
        return
    for event in site.events[:-1]:
        near = closest(event.output, site.unseen) if event.output.dtype.kind == "f" else None
        if near is not None:
            yield Trial(
                f"what PyTorch's {event.call.title} gives added to the input of {site.steps[0].name}",
                partial(site.through, 0, (site.unseen + near[0]).astype(site.unseen.dtype)),
                site.blamed,
                title=f"missing {event.shown}",
            )


CAUSE = Cause(
    "V707",
    "missing layer",
    "PyTorch computes something between the layers that Keras does not",
    "model",
    "the Keras model leaves it out",
    trials,
)
