"""A normalisation with another epsilon."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from remap.proving.cause import Cause
from remap.proving.numerics.normalisation import normalisations
from remap.proving.numerics.stated import constant
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.operation import Operation

FOLD = "give the Keras layer that epsilon, or let the rule file fold it: [batchnorm] on_mismatch = 'fold'"


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's epsilon."""
    for norm in normalisations(site):
        for event in norm.events:
            wanted = event.settings.get("epsilon")
            if wanted is not None and wanted != norm.epsilon:
                yield Trial(
                    f"epsilon {wanted:g} instead of {norm.epsilon:g}",
                    partial(norm.step.rerun, {"epsilon": wanted}),
                    norm.position,
                    hint=FOLD if event.operation is Operation.BATCH_NORMALIZATION else None,
                )


CAUSE = Cause(
    "V201",
    "epsilon",
    "the two add another small number to the variance",
    "model",
    "give the Keras layer that epsilon: no weights can make up for it",
    trials,
    constant("epsilon"),
)
