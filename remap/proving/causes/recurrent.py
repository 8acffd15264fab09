"""Recurrent layers: gates in another order, other activations inside, the reset before or after, biases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import combinations, permutations
from typing import Any

import numpy as np

from remap.proving.site import Site, Step
from remap.proving.trial import Trial
from remap.sides.framework import import_keras
from remap.sides.keras.attribute import attribute
from remap.sides.keras.rerun import arrays_of, rerun

GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
ORDER = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2), "SimpleRNN": (0,)}
"""PyTorch's gates in Keras's order."""
_ORDER_HINT = "mend the layout of the rule: lstm and gru put the gates in Keras's order"


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's activations, its place of the reset gate, every order of the gates, and its biases."""
    for position, step in enumerate(site.steps):
        layers = _layers(step.layer)
        if not layers:
            continue
        kind = type(layers[0]).__name__
        yield from _activations(site, position, step, layers)
        held = arrays_of(step.layer)
        yield from _weights(site, position, step, kind, held)
        if kind == "GRU" and not layers[0].cell.reset_after:
            bias = _split_bias(site, len(layers))
            if bias or not layers[0].cell.use_bias:
                yield Trial(
                    "reset_after",
                    "the reset gate after the product (reset_after=True), as PyTorch has it,",
                    partial(_run, step, layers, {"reset_after": True}, bias),
                    position,
                    hint="give the Keras layer reset_after=True: no weights make up for it",
                )


def _layers(layer: Any) -> list[Any]:
    """The recurrent layers in a layer: itself, or both directions."""
    both = [layer, getattr(layer, "forward_layer", None), getattr(layer, "backward_layer", None)]
    return [entry for entry in both if type(entry).__name__ in GATES]


def _activations(site: Site, position: int, step: Step, layers: list[Any]) -> Iterator[Trial]:
    theirs = str(site.events[-1].settings.get("nonlinearity", "tanh")) if site.events else "tanh"
    wanted = {"activation": theirs, "recurrent_activation": "sigmoid"}
    cell = layers[0].cell
    functions = {name: import_keras().activations.get(wanted[name]) for name in wanted if hasattr(cell, name)}
    differing = [name for name, function in functions.items() if getattr(cell, name) is not function]
    for count in range(1, len(differing) + 1):
        for names in combinations(differing, count):
            yield Trial(
                " and ".join(name.replace("_", " ") for name in names),
                " and ".join(f"{name} {wanted[name]} instead of {_title(getattr(cell, name))}" for name in names),
                partial(_run, step, layers, {name: functions[name] for name in names}),
                position,
                hint=f"give the Keras layer {', '.join(f'{name}={wanted[name]!r}' for name in names)}",
            )


def _title(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _weights(site: Site, position: int, step: Step, kind: str, held: dict[str, np.ndarray]) -> Iterator[Trial]:
    count = GATES[kind]
    changes: list[tuple[str, str, str, Mapping[str, np.ndarray]]] = []
    biases = {name: array for name, array in held.items() if name.endswith("bias")}
    swapped = {name: array[::-1].copy() for name, array in biases.items() if array.ndim == 2}
    if swapped:
        changes.append(("bias order", "the input's and the state's bias exchanged", "mend the rule", swapped))
    whole = _whole_bias(site, kind, biases)
    if whole:
        changes.append(("bias left out", "the sum of PyTorch's two biases", "sum bias_ih and bias_hh", whole))
    orders = [order for order in permutations(range(count)) if order != tuple(range(count))]
    for order in orders:
        changed = {name: _gates(array, order) for name, array in held.items()}
        changes.append(("gate order", f"the gates in the order {order}", _ORDER_HINT, changed))
    for cause, told, hint, values in changes:
        yield Trial(cause, told, partial(rerun, step.layer, step.inputs, None, values), position, "weights", hint)


def _gates(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    blocks = array.reshape(*array.shape[:-1], len(order), -1)
    return np.ascontiguousarray(blocks[..., list(order), :]).reshape(array.shape)


def _biases(site: Site) -> list[tuple[np.ndarray, np.ndarray]]:
    """PyTorch's two biases for each direction of the first layer of the row's module; empty without them."""
    found = []
    for module in site.row.pair.modules if site.row.pair else ():
        for ending in ("l0", "l0_reverse"):
            keys = [f"{module}.bias_{side}_{ending}" if module else f"bias_{side}_{ending}" for side in ("ih", "hh")]
            tensors = [site.plan.checkpoint.get(key) for key in keys]
            if tensors[0] is not None and tensors[1] is not None:
                found.append((np.array(tensors[0].array()), np.array(tensors[1].array())))
    return found


def _whole_bias(site: Site, kind: str, biases: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The sum of both biases, where the layer has room for one and holds something else."""
    sums = [_gates(one + other, ORDER[kind]) for one, other in _biases(site)]
    if len(sums) != len(biases) or any(array.ndim > 1 for array in biases.values()):
        return {}
    order = sorted(biases, key=lambda name: "backward" in name)
    wanted = {name: total.astype(biases[name].dtype) for name, total in zip(order, sums, strict=True)}
    return wanted if any(not np.array_equal(wanted[name], biases[name]) for name in wanted) else {}


def _split_bias(site: Site, directions: int) -> list[np.ndarray]:
    """PyTorch's two biases in Keras's order of gates, one above the other."""
    found = [_gates(np.stack(pair), ORDER["GRU"]) for pair in _biases(site)]
    return found if len(found) == directions else []


def _run(
    step: Step, layers: list[Any], settings: Mapping[str, Any], bias: list[np.ndarray] | None = None
) -> np.ndarray:
    """The layer with its cells set otherwise."""
    ops = import_keras().ops
    with ExitStack() as stack:
        for index, layer in enumerate(layers):
            for name, value in settings.items():
                stack.enter_context(attribute(layer.cell, name, value))
            if bias:
                stack.enter_context(attribute(layer.cell, "bias", ops.convert_to_tensor(bias[index], layer.cell.dtype)))
        return rerun(step.layer, step.inputs)
