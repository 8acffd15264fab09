"""Statistics of each batch against stored ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.normalisation import Normalisation, normalisations
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.operation import Settings


def trials(site: Site) -> Iterator[Trial]:
    """Mean and variance of the recorded input."""
    for norm in normalisations(site):
        if norm.batch:
            told = "statistics of the batch instead of the stored ones"
            yield Trial(told, partial(_of_batch, norm), norm.position)


def _of_batch(norm: Normalisation) -> np.ndarray:
    x, held = norm.step.inputs[0], norm.vectors()
    axes = tuple(range(x.ndim - 1))
    y = (x - x.mean(axes)) / np.sqrt(x.var(axes) + norm.epsilon)
    return np.asarray(y * held.get("gamma", 1.0) + held.get("beta", 0.0))


def differs(torch: Settings, keras: Settings) -> tuple[str, str] | None:
    """Whether PyTorch tracks no statistics."""
    return ("of each batch", "stored") if torch.get("batch_statistics") else None


CAUSE = Cause(
    "V206",
    "batch statistics",
    "PyTorch normalises by the statistics of each batch, Keras by stored ones",
    "model",
    "PyTorch tracks no statistics here: no weights make the two equal; call the layer with training=True",
    trials,
    differs,
)
