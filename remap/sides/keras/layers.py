"""The layers of a live Keras model: which there are, what they are set to, what feeds them."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from itertools import chain, pairwise
from typing import Any

from remap.sides.keras.family import KERAS

MAX_LENGTH = 200
UNTOLD = {
    *("self", "kwargs", "name", "trainable", "dtype", "built"),
    *("momentum", "synchronized", "seed", "noise_shape"),
    *("rank", "unroll", "use_cudnn", "implementation"),
    *("batch_input_shape", "sparse", "ragged", "optional"),
}
"""What is no setting of the computation that a port must meet: bookkeeping, training, kinds of input."""
BY_KEYWORD = ("rms_scaling",)
"""Settings that Keras takes out of ``**kwargs``, so that no signature names them."""
UNTOLD_ENDINGS = ("initializer", "regularizer", "constraint")


def is_model(value: object) -> bool:
    """Whether ``value`` is a Keras (or tf_keras) model, told without importing either."""
    return "Model" in _keras_bases(value)


def kind_of(model: Any) -> str:
    """``sequential``, ``functional`` (subclasses of functional models too) or ``subclassed``."""
    bases = _keras_bases(model)
    if "Sequential" in bases:
        return "sequential"
    return "functional" if "Functional" in bases else "subclassed"


def _keras_bases(value: object) -> set[str]:
    return {base.__name__ for base in type(value).__mro__ if base.__module__.split(".")[0] in KERAS}


def sublayers(layer: Any) -> list[Any]:
    """The direct sublayers, in the model's order.

    A functional model lists the layers of its graph first, then those that it only holds as attributes.
    """
    if kind_of(layer) == "sequential":
        return list(layer.layers)
    held = layer._flatten_layers(include_self=False, recursive=False)
    first = layer.layers if is_model(layer) else []
    unique = {id(sub): sub for sub in (*first, *held)}
    return list(unique.values())


def walk(model: Any) -> Iterator[tuple[Any, Any]]:
    """Every layer below ``model`` once, parents before children, each with the layer that holds it."""
    seen = {id(model)}

    def descend(parent: Any) -> Iterator[tuple[Any, Any]]:
        for layer in sublayers(parent):
            if id(layer) not in seen:
                seen.add(id(layer))
                yield layer, parent
                yield from descend(layer)

    yield from descend(model)


def settings_of(layer: Any) -> dict[str, Any]:
    """What sets a layer apart from others of its class, as far as it is a number, a word or a short list of them.

    These are the attributes called like a parameter of the constructor, as Keras's own layers have them all;
    functions such as activations are told by their name. (``get_config`` would tell the same, but imports TensorFlow
    with any backend.) A model inside a model tells nothing: its layers do.
    """
    if is_model(layer):
        return {}
    told = {}
    for key in (*_parameters(type(layer)), *BY_KEYWORD):
        value = _plain(key, getattr(layer, key, None))
        if value is not None:
            told[key] = value
    return told


def settings_of_any(operation: Any) -> dict[str, Any]:
    """What a layer is set to; for an operation of a graph, its plain attributes."""
    if hasattr(operation, "_flatten_layers"):
        return settings_of(operation)
    return {
        key: value
        for key, value in vars(operation).items()
        if not key.startswith("_") and isinstance(value, bool | int | float | str)
    }


def _parameters(cls: type) -> tuple[str, ...]:
    """Parameters of the constructors of a layer class and its bases, those of every Keras object left out."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if base.__name__ == "Layer" and base.__module__.split(".")[0] in KERAS:
            break
        if "__init__" in vars(base):
            names |= dict.fromkeys(signature(vars(base)["__init__"]).parameters)
    return tuple(name for name in names if name not in UNTOLD and not name.endswith(UNTOLD_ENDINGS))


def _plain(key: str, value: Any) -> Any:
    """``value`` where it is short and JSON can hold it, the name of an activation, None where neither is so."""
    if key.endswith("activation") and callable(value):
        return getattr(value, "__name__", type(value).__name__)
    plain = _listed(value)
    return plain if plain is not None and len(str(plain)) <= MAX_LENGTH else None


def _listed(value: Any) -> Any:
    """Tuples as lists, also inside of others; None for what is no number, word, None or list of them."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        items = [_listed(item) for item in value]
        known = all(item is not None or old is None for item, old in zip(items, value, strict=True))
        return items if known and items else None
    return None


def graph_inputs(container: Any) -> dict[int, tuple[str, ...]]:
    """For each layer of one model's graph (by ``id``), the names of the layers that feed it.

    Operations that are no layers are looked through. A model that is no graph gives nothing.
    """
    kind = kind_of(container)
    if kind == "sequential":
        layers = list(container.layers)
        return {id(layer): (before.name,) for before, layer in pairwise(layers)}
    if kind != "functional":
        return {}
    layer_ids = {id(layer) for layer in container.layers}
    feeding: dict[int, list[str]] = {}
    for node in chain.from_iterable(container._nodes_by_depth.values()):
        if id(_operation(node)) in layer_ids:
            names = feeding.setdefault(id(_operation(node)), [])
            names += [name for name in _feeding(node, layer_ids) if name not in names]
    return {key: tuple(names) for key, names in feeding.items()}


def _feeding(node: Any, layer_ids: set[int]) -> Iterator[str]:
    waiting, seen = list(node.parent_nodes), set()
    while waiting:
        parent = waiting.pop(0)
        if id(parent) in seen:
            continue
        seen.add(id(parent))
        if id(_operation(parent)) in layer_ids:
            yield _operation(parent).name
        else:
            waiting += parent.parent_nodes


def _operation(node: Any) -> Any:
    """What a node of the graph calls: an operation in Keras 3, a layer in tf_keras."""
    return node.operation if hasattr(node, "operation") else node.layer
