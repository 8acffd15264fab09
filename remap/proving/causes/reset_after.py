"""The reset gate of a GRU before or after the product."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.recurrent import recurrent_layers, torch_biases
from remap.proving.numerics.stated import word
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """The reset gate where PyTorch has it, with PyTorch's two biases where there are any."""
    for recurrent in recurrent_layers(site):
        if recurrent.settings.get("reset_after") is not False:
            continue
        pairs = [np.stack(pair) for pair in torch_biases(site, recurrent.operation)]
        bias = pairs if len(pairs) == len(recurrent.layers) else []
        if bias or not recurrent.biases():
            yield Trial(
                "the reset gate after the product (reset_after=True), as PyTorch has it,",
                partial(recurrent.run, {"reset_after": True}, bias),
                recurrent.position,
            )


CAUSE = Cause(
    "V606",
    "reset_after",
    "PyTorch's GRU resets the state after its product, Keras's before it",
    "model",
    "give the Keras layer reset_after=True: no weights make up for it",
    trials,
    word("reset_after"),
)
