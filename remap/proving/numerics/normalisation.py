"""Normalisations at a site, PyTorch's of them, and the statistics that the checkpoint has for a layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from remap.proving.site import Site
from remap.proving.step import Step
from remap.sides.keras.realise import setting
from remap.sides.keras.rerun import arrays_of, weights_of
from remap.sides.operation import NORMALISING
from remap.sides.vocabulary.keras_layers import STATISTICS, VECTORS


@dataclass(frozen=True, slots=True)
class Normalisation:
    """A Keras layer that normalises.

    Args:
        position: Position of the step.
        step: The call.
        events: PyTorch's normalisations at the site.
    """

    position: int
    step: Step
    events: list[Step]

    @property
    def batch(self) -> bool:
        """Whether it is one by stored statistics."""
        return set(STATISTICS) <= set(weights_of(self.step.layer))

    @property
    def epsilon(self) -> float:
        """Keras's epsilon."""
        return float(setting(self.step.layer, "epsilon"))

    def vectors(self) -> dict[str, np.ndarray]:
        """The layer's own vectors, in Keras's order."""
        held = arrays_of(self.step.layer)
        return {name: held[name] for name in VECTORS if name in held}


def normalisations(site: Site) -> Iterator[Normalisation]:
    """The layers of a site that have an epsilon."""
    events = [event for event in site.events if event.operation in NORMALISING]
    for position, step in enumerate(site.steps):
        if setting(step.layer, "epsilon") is not None:
            yield Normalisation(position, step, events)


def checkpoint_statistics(site: Site, held: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The running statistics of the row's module, in the shapes of the layer; empty where they cannot be told."""
    own = {}
    for module in site.modules:
        for name, key in zip(STATISTICS, ("running_mean", "running_var"), strict=True):
            tensor = site.plan.checkpoint.get(f"{module}.{key}" if module else key)
            if tensor is not None and name in held and tensor.shape == held[name].shape:
                own[name] = np.array(tensor.array(), dtype=held[name].dtype)
    return own if len(own) == len(STATISTICS) else {}
