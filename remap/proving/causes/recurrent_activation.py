"""Gates of a recurrent layer with another activation; alone, and with another activation of the state besides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from remap.proving.cause import Cause
from remap.proving.causes import inner_activation
from remap.proving.numerics.recurrent import activations_inside
from remap.proving.numerics.stated import word
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's sigmoid for the gates; then its activation of the state too."""
    yield from activations_inside(site, ("recurrent_activation",))
    title, also = f"{inner_activation.CAUSE.name} and {CAUSE.name}", (inner_activation.CAUSE.code,)
    for trial in activations_inside(site, ("activation", "recurrent_activation")):
        yield replace(trial, title=title, also=also)


CAUSE = Cause(
    "V602",
    "recurrent activation",
    "the gates of a recurrent layer have another activation",
    "model",
    "give the Keras layer recurrent_activation='sigmoid'",
    trials,
    word("recurrent_activation"),
)
