"""One of PyTorch's two biases that went nowhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from remap.proving.cause import Cause
from remap.proving.numerics.recurrent import Recurrent, recurrent_layers, torch_biases
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """The sum of both."""
    for recurrent in recurrent_layers(site):
        whole = _whole_bias(site, recurrent)
        if whole:
            yield recurrent.holding("the sum of PyTorch's two biases", whole)


def _whole_bias(site: Site, recurrent: Recurrent) -> dict[str, np.ndarray]:
    """The sum of both biases, where the layer has room for one and holds something else."""
    biases = recurrent.biases()
    sums = [one + other for one, other in torch_biases(site, recurrent.operation)]
    if len(sums) != len(biases) or any(array.ndim > 1 for array in biases.values()):
        return {}
    order = sorted(biases, key=lambda name: "backward" in name)
    wanted = {name: total.astype(biases[name].dtype) for name, total in zip(order, sums, strict=True)}
    return wanted if any(not np.array_equal(wanted[name], biases[name]) for name in wanted) else {}


CAUSE = Cause(
    "V604",
    "bias left out",
    "PyTorch's recurrent layer has two biases, and one of them went nowhere",
    "weights",
    "sum bias_ih and bias_hh",
    trials,
)
