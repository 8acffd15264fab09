"""A factor between two layers that PyTorch has and Keras has not."""

from __future__ import annotations

from collections.abc import Iterator

from remap.proving.cause import Cause
from remap.proving.numerics.fit import input_fit
from remap.proving.site import Site
from remap.proving.trial import Trial


def trials(site: Site) -> Iterator[Trial]:
    """One factor that makes PyTorch's input of the layer of Keras's; of images that would be a normalisation."""
    fit = site.once(input_fit)
    if fit is not None and fit.uniform and fit.fitted.ndim < 4:
        yield fit.trial(site, f"its input times {fit.scale.flat[0]:.6g}, as PyTorch has it,")


CAUSE = Cause(
    "V703",
    "scale",
    "PyTorch multiplies the input of a layer by a number, Keras does not",
    "model",
    "the Keras model lacks a scale",
    trials,
)
