"""The two biases of a GRU in each other's places."""

from __future__ import annotations

from collections.abc import Iterator

from remap.proving.cause import Cause
from remap.proving.numerics.recurrent import recurrent_layers
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """The rows of the layer's bias the other way round."""
    for recurrent in recurrent_layers(site):
        swapped = {name: array[::-1].copy() for name, array in recurrent.biases().items() if array.ndim == 2}
        if swapped:
            yield recurrent.holding("the input's and the state's bias exchanged", swapped)


CAUSE = Cause(
    "V603",
    "bias order",
    "a recurrent layer has the bias of its state as that of its input, and the other way round",
    "weights",
    "mend the rule",
    trials,
)
