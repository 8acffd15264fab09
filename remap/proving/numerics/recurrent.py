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
from remap.sides.keras.rerun import arrays_of, rerun

GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
ORDER = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2), "SimpleRNN": (0,)}
"""PyTorch's gates in Keras's order."""


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
    def kind(self) -> str:
        """A key of :data:`GATES`."""
        return type(self.layers[0]).__name__

    @property
    def cell(self) -> Any:
        """The cell of the first direction; those of both are set alike."""
        return self.layers[0].cell

    def biases(self) -> dict[str, np.ndarray]:
        """The layer's biases by name."""
        return {name: array for name, array in arrays_of(self.step.layer).items() if name.endswith("bias")}

    def holding(self, text: str, values: Mapping[str, np.ndarray]) -> Trial:
        """The layer with other weights."""
        return Trial(text, partial(rerun, self.step.layer, self.step.inputs, None, values), self.position)

    def run(self, settings: Mapping[str, Any], bias: list[np.ndarray] | None = None) -> np.ndarray:
        """The layer's output with its cells set otherwise.

        Args:
            settings: Attributes of every cell.
            bias: The bias of each direction, in the place of the cell's own.
        """
        ops = import_keras().ops
        with ExitStack() as stack:
            for index, layer in enumerate(self.layers):
                for name, value in settings.items():
                    stack.enter_context(attribute(layer.cell, name, value))
                if bias:
                    tensor = ops.convert_to_tensor(bias[index], layer.cell.dtype)
                    stack.enter_context(attribute(layer.cell, "bias", tensor))
            return rerun(self.step.layer, self.step.inputs)


def recurrent_layers(site: Site) -> Iterator[Recurrent]:
    """The recurrent layers of a site."""
    for position, step in enumerate(site.steps):
        both = [getattr(step.layer, name, None) for name in ("forward_layer", "backward_layer")]
        layers = [entry for entry in (step.layer, *both) if type(entry).__name__ in GATES]
        if layers:
            yield Recurrent(position, step, layers)


def activations_inside(site: Site, names: tuple[str, ...]) -> Iterator[Trial]:
    """PyTorch's activations inside of the cells, some of those in which the two differ.

    Args:
        site: The place.
        names: Attributes of a cell; all of them must differ.
    """
    theirs = str(site.events[-1].settings.get("nonlinearity", "tanh")) if site.events else "tanh"
    wanted = {"activation": theirs, "recurrent_activation": "sigmoid"}
    for recurrent in recurrent_layers(site):
        cell, functions = recurrent.cell, {name: import_keras().activations.get(wanted[name]) for name in names}
        if all(hasattr(cell, name) and getattr(cell, name) is not functions[name] for name in names):
            yield Trial(
                " and ".join(f"{name} {wanted[name]} instead of {_title(getattr(cell, name))}" for name in names),
                partial(recurrent.run, {name: functions[name] for name in names}),
                recurrent.position,
                hint=f"give the Keras layer {', '.join(f'{name}={wanted[name]!r}' for name in names)}",
            )


def _title(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def gates(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Weights whose last axis holds gates side by side, in another order.

    >>> gates(np.array([1, 2, 3, 4]), (1, 0)).tolist()
    [3, 4, 1, 2]
    """
    blocks = array.reshape(*array.shape[:-1], len(order), -1)
    return np.ascontiguousarray(blocks[..., list(order), :]).reshape(array.shape)


def torch_biases(site: Site, kind: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """PyTorch's two biases for each direction of the first layer of the row's module, in Keras's order of gates."""
    pairs = []
    for module in site.modules:
        for ending in ("l0", "l0_reverse"):
            keys = [f"{module}.bias_{side}_{ending}" if module else f"bias_{side}_{ending}" for side in ("ih", "hh")]
            tensors = [site.plan.checkpoint.get(key) for key in keys]
            if tensors[0] is not None and tensors[1] is not None:
                one, other = (gates(np.array(tensor.array()), ORDER[kind]) for tensor in tensors if tensor is not None)
                pairs.append((one, other))
    return pairs
