"""The object graph of an object-based TensorFlow checkpoint: which object holds which, by what name.

Format: TrackableObjectGraph of tensorflow/core/protobuf/trackable_object_graph.proto. Restoring walks it beside the
live objects, name by name; the keys of the values are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from remap.formats.tensorflow.bundle import field
from remap.formats.tensorflow.tf_bundle import OBJECT_ENDING

MODEL = "model"
"""What ``tf.train.Checkpoint(model=...)`` calls the model."""
COUNTER = "save_counter"
"""What every ``tf.train.Checkpoint`` counts its files with."""


def holds(keys: Iterable[str], name: str) -> bool:
    """Whether the model itself has something of that name.

    >>> holds(["model/kernel/.ATTRIBUTES/VARIABLE_VALUE"], "model")
    True
    """
    return any(key.split("/")[0] == name for key in keys)


def object_graph(keys: list[str]) -> bytes:
    """The tree of the components of ``a/b/.ATTRIBUTES/VARIABLE_VALUE`` keys, as a TrackableObjectGraph.

    The root is the model, and holds the counter of ``tf.train.Checkpoint`` and a second object that is the model as
    well, under the name ``model``; each only where the model has nothing of that name.
    """
    children: list[dict[str, int]] = [{}]
    values: dict[int, str] = {}

    def add(holder: int, name: str) -> int:
        children[holder][name] = len(children)
        children.append({})
        return children[holder][name]

    for key in keys:
        node = 0
        for name in key.removesuffix(OBJECT_ENDING).split("/"):
            node = children[node][name] if name in children[node] else add(node, name)
        values[node] = key
    own = dict(children[0])
    if COUNTER not in own:
        values[add(0, COUNTER)] = COUNTER + OBJECT_ENDING
    if MODEL not in own:
        children[add(0, MODEL)] |= own
    return b"".join(field(1, _node(edges, values.get(node))) for node, edges in enumerate(children))


def _node(edges: dict[str, int], key: str | None) -> bytes:
    """A TrackableObject: its children, and where its value is if it has one."""
    message = b"".join(field(1, field(1, child) + field(2, _unescaped(name).encode())) for name, child in edges.items())
    if key is None:
        return message
    name = key.removesuffix(OBJECT_ENDING)
    attribute = field(1, b"VARIABLE_VALUE") + field(2, name.encode()) + field(3, key.encode())
    return message + field(2, attribute)


def _unescaped(name: str) -> str:
    """A component of a key as the object has it: in keys "." is ".." and "/" is ".S".

    >>> _unescaped("a.Sb..c..S")
    'a/b.c.S'
    """
    return re.sub(r"\.([.S])", lambda escape: "/" if escape[1] == "S" else ".", name)
