"""Recurrent layers run again with their cells set otherwise, and their gates in PyTorch's order or in Keras's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial
from remap.sides.framework import import_keras
from remap.sides.keras.attribute import attribute
from remap.sides.keras.operations import GATES as KERAS_GATES
from remap.sides.keras.realise import attributes, described_live
from remap.sides.keras.rerun import arrays_of
from remap.sides.operation import RECURRENT, Operation, Settings
from remap.sides.torch.operations import GATES as TORCH_GATES

PLAIN = {"activation": "tanh", "recurrent_activation": "sigmoid"}
"""What PyTorch's recurrent layers compute with, unless they say otherwise."""


@dataclass(frozen=True, slots=True)
class Recurrent:
    """A recurrent Keras layer at a site, or one of both directions.

    Args:
        position: Position of the step.
        step: The call.
        layers: The layer itself, or that of each direction.
    """

    position: int
    step: Step
    layers: list[Any]

    @property
    def operation(self) -> Operation:
        """What each direction computes."""
        return described_live(self.layers[0])[0]

    @property
    def settings(self) -> Settings:
        """What the first direction is set to; both are set alike."""
        return described_live(self.layers[0])[1]

    def biases(self) -> dict[str, np.ndarray]:
        """The layer's biases by name."""
        return {name: array for name, array in arrays_of(self.step.layer).items() if name.endswith("bias")}

    def holding(self, text: str, values: Mapping[str, np.ndarray]) -> Trial:
        """The layer with other weights."""
        return Trial(text, partial(self.step.rerun, None, values), self.position)

    def run(self, settings: Mapping[str, Any], bias: list[np.ndarray] | None = None) -> np.ndarray:
        """The layer's output with its cells set otherwise.

        Args:
            settings: What to set every cell to, in the vocabulary of both sides.
            bias: The bias of each direction, in the place of the cell's own.
        """
        ops = import_keras().ops
        with ExitStack() as stack:
            for index, layer in enumerate(self.layers):
                for name, value in attributes(layer.cell, settings).items():
                    stack.enter_context(attribute(layer.cell, name, value))
                if bias:
                    tensor = ops.convert_to_tensor(bias[index], layer.cell.dtype)
                    stack.enter_context(attribute(layer.cell, "bias", tensor))
            return self.step.rerun()


def recurrent_layers(site: Site) -> Iterator[Recurrent]:
    """The recurrent layers of a site."""
    for position, step in enumerate(site.steps):
        both = [getattr(step.layer, name, None) for name in ("forward_layer", "backward_layer")]
        layers = [entry for entry in (step.layer, *both) if hasattr(entry, "cell") and _is_recurrent(entry)]
        if layers:
            yield Recurrent(position, step, layers)


def _is_recurrent(layer: Any) -> bool:
    return described_live(layer)[0] in RECURRENT


def activations_inside(site: Site, names: tuple[str, ...]) -> Iterator[Trial]:
    """PyTorch's activations inside of the cells, some of those in which the two differ.

    Args:
        site: The place.
        names: Settings of the layer; all of them must differ.
    """
    theirs = site.events[-1].settings if site.events else {}
    wanted = {name: theirs.get(name, PLAIN[name]) for name in names}
    for recurrent in recurrent_layers(site):
        ours = recurrent.settings
        if all(ours.get(name, wanted[name]) != wanted[name] for name in names):
            yield Trial(
                " and ".join(f"{name} {wanted[name]} instead of {ours[name]}" for name in names),
                partial(recurrent.run, wanted),
                recurrent.position,
                hint=f"give the Keras layer {', '.join(f'{name}={wanted[name]!r}' for name in names)}",
            )


def gates(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Weights whose last axis holds gates side by side, in another order.

    >>> gates(np.array([1, 2, 3, 4]), (1, 0)).tolist()
    [3, 4, 1, 2]
    """
    blocks = array.reshape(*array.shape[:-1], len(order), -1)
    return np.ascontiguousarray(blocks[..., list(order), :]).reshape(array.shape)


def torch_biases(site: Site, operation: Operation) -> list[tuple[np.ndarray, np.ndarray]]:
    """PyTorch's two biases for each direction of the first layer of the row's module, in Keras's order of gates."""
    pairs = []
    order = tuple(TORCH_GATES[operation].index(gate) for gate in KERAS_GATES[operation])
    for module in site.modules:
        for ending in ("l0", "l0_reverse"):
            keys = [f"{module}.bias_{side}_{ending}" if module else f"bias_{side}_{ending}" for side in ("ih", "hh")]
            tensors = [site.plan.checkpoint.get(key) for key in keys]
            if tensors[0] is not None and tensors[1] is not None:
                one, other = (gates(np.array(tensor.array()), order) for tensor in tensors if tensor is not None)
                pairs.append((one, other))
    return pairs
