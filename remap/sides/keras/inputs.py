"""What a live Keras model says about its inputs, and how it is called with them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from remap.sides.feed import Feed, KerasInput
from remap.sides.keras.layers import kind_of, walk
from remap.sides.keras.operations import family_of, operation_of
from remap.sides.operation import CONVOLVING


def keras_inputs(model: Any) -> list[KerasInput] | None:
    """The inputs of a built model in order; None where it does not tell.

    Args:
        model: A functional or sequential model, or a subclassed one that was called once with ``keras.Input``.
    """
    tensors = list(getattr(model, "inputs", None) or ()) if kind_of(model) != "subclassed" else []
    if tensors:
        fed = {id(tensor): list(_fed(tensor, _nodes(model))) for tensor in tensors}
        return [
            KerasInput(
                tensor.name,
                tuple(tensor.shape[1:]),
                str(tensor.dtype),
                _wants_channels_first(fed[id(tensor)], len(tensor.shape)),
                _bound(fed[id(tensor)]),
            )
            for tensor in tensors
        ]
    shapes = dict(getattr(model, "_build_shapes_dict", None) or {})
    if len(shapes) < len(_required(model)):
        return None  # Keras notes the first one alone where build() takes no more
    layers = [layer for layer, _ in walk(model)]
    inputs = []
    for name, shape in shapes.items():
        if not isinstance(shape, list | tuple) or any(isinstance(size, list | tuple) for size in shape):
            return None
        weighted = [layer for layer in layers if layer.weights][:1]
        inputs.append(
            KerasInput(
                name.removesuffix("_shape"),
                tuple(shape[1:]),
                "float32",
                _wants_channels_first(weighted, len(shape)),
                _bound(weighted),
            )
        )
    return inputs or None


def _nodes(model: Any) -> set[int]:
    """The calls of a model's own graph: an input may feed other models too."""
    graph = getattr(model, "_functional", None) or model
    return {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}


def _fed(tensor: Any, own: set[int]) -> Iterator[Any]:
    """The layers that an input reaches before any weight, the first with weights included."""
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        return
    waiting, seen = [history.operation], set()
    while waiting:
        operation = waiting.pop(0)
        for node in operation._outbound_nodes:
            reached = node.operation
            if id(node) not in own or id(reached) in seen:
                continue
            seen.add(id(reached))
            yield from _opened(reached)
            if not getattr(reached, "weights", None):
                waiting.append(reached)


def _opened(layer: Any) -> Iterator[Any]:
    """A layer, or the first layers with weights of a model inside of the model."""
    inner = [sub for sub, _ in walk(layer) if sub.weights] if hasattr(layer, "_flatten_layers") else []
    yield from (inner[:3] or [layer])


def _wants_channels_first(layers: Sequence[Any], rank: int) -> bool:
    formats = [getattr(layer, "data_format", None) for layer in layers if getattr(layer, "data_format", None)]
    if "channels_first" in formats:
        return False
    return rank >= 4 or (rank == 3 and any(operation_of(family_of(layer)) in CONVOLVING for layer in layers))


def _bound(layers: Sequence[Any]) -> int | None:
    sizes = [
        layer.input_dim
        for layer in layers
        if type(layer).__name__.endswith("Embedding") and hasattr(layer, "input_dim")
    ]
    return min(sizes) if sizes else None


def _parameters(model: Any) -> dict[str, inspect.Parameter]:
    """The arguments of ``call`` that are inputs."""
    parameters = inspect.signature(model.call).parameters
    return {name: each for name, each in parameters.items() if name not in ("training", "mask")}


def _required(model: Any) -> list[str]:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, each in _parameters(model).items() if each.default is each.empty and each.kind in positional]


def call_model(model: Any, feeds: Sequence[Feed]) -> Any:
    """Run a model in inference mode on arrays, in the form that its ``call`` takes."""
    arrays: dict[str, np.ndarray] = {feed.name: feed.keras for feed in feeds}
    struct = getattr(model, "_inputs_struct", None)
    if isinstance(struct, dict):
        names = {key: tensor.name for key, tensor in struct.items()}
        by_order = dict(zip([tensor.name for tensor in model.inputs], arrays.values(), strict=False))
        return model({key: arrays.get(name, by_order.get(name)) for key, name in names.items()}, training=False)
    values = list(arrays.values())
    if len(values) == 1:
        return model(values[0], training=False)
    if kind_of(model) != "subclassed":
        return model(values, training=False)
    if len(_parameters(model)) >= len(values):
        return model(*values, training=False)
    return model(values, training=False)
