"""The layers of a live Keras model: which there are, what they are set to, what feeds them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

MAX_ITEMS = 16
UNTOLD = {
    *("name", "trainable", "dtype", "built"),
    *("momentum", "synchronized", "seed", "noise_shape"),
    *("batch_input_shape", "sparse", "ragged", "optional"),
}
"""What is no setting of the computation that a port must meet: bookkeeping, training, kinds of input."""
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
    return {base.__name__ for base in type(value).__mro__ if base.__module__.split(".")[0] in ("keras", "tf_keras")}


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

    Taken from ``get_config()``, or from the public attributes of a layer whose class does not define it; functions such
    as activations are told by their name. A model inside a model tells nothing: its layers do.
    """
    if is_model(layer):
        return {}
    told = {}
    for key, value in _config(layer).items():
        if key in UNTOLD or key.endswith(UNTOLD_ENDINGS):
            continue
        value = _plain(value)
        if value is not None:
            told[key] = value
    return told


def _config(layer: Any) -> dict[str, Any]:
    try:
        return dict(layer.get_config())
    except Exception:  # whatever a user's own layer raises: its attributes are left to tell
        return {key: value for key, value in vars(layer).items() if not key.startswith("_")}


def _plain(value: Any) -> Any:
    """``value`` where JSON can hold it, the name of a function or object, None where neither is possible."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        items = list(value)
        flat = all(item is None or isinstance(item, bool | int | float | str) for item in items)
        return items if flat and items and len(items) <= MAX_ITEMS else None
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        named = value.get("config")
        return named if isinstance(named, str) else value["class_name"]
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
    found: dict[int, list[str]] = {}
    for node in chain.from_iterable(container._nodes_by_depth.values()):
        if id(node.operation) in layer_ids:
            names = found.setdefault(id(node.operation), [])
            names += [name for name in _feeding(node, layer_ids) if name not in names]
    return {key: tuple(names) for key, names in found.items()}


def _feeding(node: Any, layer_ids: set[int]) -> Iterator[str]:
    waiting, seen = list(node.parent_nodes), set()
    while waiting:
        parent = waiting.pop(0)
        if id(parent) in seen:
            continue
        seen.add(id(parent))
        if id(parent.operation) in layer_ids:
            yield parent.operation.name
        else:
            waiting += parent.parent_nodes
