"""What a live Keras model says about its inputs, and how it is called with them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from remap.sides.feed import Feed, InputKind, KerasInput
from remap.sides.keras.family import family_of
from remap.sides.keras.layers import kind_of, walk
from remap.sides.keras.operations import operation_of
from remap.sides.operation import CONVOLVING, Operation

LARGE = 1e3
"""A factor from which on it is one that closes a softmax to what a mask hides."""
DIM = 1 / 64
"""A scale below which an image comes as pixels from 0 to 255."""


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
                _kind(tensor, fed[id(tensor)], _nodes(model)),
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
                invented=True,
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


def _kind(tensor: Any, layers: Sequence[Any], own: set[int]) -> InputKind | None:
    """What an input is, told by what takes it: a mask, or pixels; None where that tells nothing.

    A mask goes to an argument so called, or is multiplied by a number that drives a softmax to zero, and no embedding
    takes it. Pixels are scaled down at once.
    """
    if _bound(layers) is not None:
        return None
    used = list(_uses(tensor, own))
    if any("mask" in name for name, _ in used) or any(abs(number) >= LARGE for _, each in used for number in each):
        return InputKind.MASK
    scales = [
        getattr(layer, "scale", None) for layer in layers if operation_of(family_of(layer)) is Operation.RESCALING
    ]
    if len(tensor.shape) >= 4 and any(isinstance(scale, int | float) and abs(scale) < DIM for scale in scales):
        return InputKind.PIXELS
    return None


def _uses(tensor: Any, own: set[int]) -> Iterator[tuple[str, list[float]]]:
    """How an input is taken, and what is made of it without weights: the argument's name, and the numbers beside it."""
    waiting, seen = [tensor], set[int]()
    while waiting:
        value = waiting.pop(0)
        history = getattr(value, "_keras_history", None)
        for node in history.operation._outbound_nodes if history is not None else ():
            if id(node) not in own or id(node) in seen or not any(each is value for each in node.input_tensors):
                continue
            seen.add(id(node))
            arguments = node.arguments
            numbers = [float(each) for each in arguments.args if isinstance(each, int | float)]
            yield "", numbers
            yield from ((name, []) for name, each in arguments.kwargs.items() if each is value)
            if not getattr(node.operation, "weights", None):
                waiting += node.output_tensors


def _opened(layer: Any) -> Iterator[Any]:
    """A layer, or the first layers with weights of a model inside of the model."""
    inner = [sub for sub, _ in walk(layer) if sub.weights] if hasattr(layer, "_flatten_layers") else []
    yield from (inner[:3] or [layer])


def _wants_channels_first(layers: Sequence[Any], rank: int) -> bool:
    formats = [getattr(layer, "data_format", None) for layer in layers if getattr(layer, "data_format", None)]
    if "channels_first" in formats:
        return False
    sequences = (layer for layer in layers if getattr(layer, "rank", None) == 1)
    return rank >= 4 or (rank == 3 and any(operation_of(family_of(layer)) in CONVOLVING for layer in sequences))


def _bound(layers: Sequence[Any]) -> int | None:
    sizes = [layer.input_dim for layer in layers if operation_of(family_of(layer)) is Operation.EMBEDDING]
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
