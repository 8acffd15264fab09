"""What TensorFlow's object tracking reaches from a live model: that alone can be in an object-based checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from remap.sides.framework import import_module
from remap.sides.keras.live import framework_of, is_keras2
from remap.sides.usercode import first_lines


@dataclass(frozen=True, slots=True)
class Tracking:
    """The keys of what is tracked.

    Args:
        keys: Key of every tracked object below the model, by ``id``: the shortest way to it over the objects that
            TensorFlow tracks, ``layer_with_weights-0/kernel``, with ``.`` and ``/`` inside of names escaped as
            TensorFlow does, and without the ending that keys of variables have.
        unknown: Why there are no keys, where that has another cause than the model's layout.
    """

    keys: dict[int, str] = field(default_factory=dict)
    unknown: str = ""


def tracking_of(model: Any) -> Tracking:
    """What ``tf.train.Checkpoint`` follows in a tf_keras model, or in a Keras 3 model of the TensorFlow backend.

    Keras 3 (3.5 to 3.15, measured) lets TensorFlow see attributes and tuples, but no layer that is held in a list or
    dict. The same keys come from a model that is built without its weights.
    """
    if not is_keras2(model):
        backend = framework_of(model).backend.backend()
        if backend != "tensorflow":
            return Tracking(unknown=f"the model was looked at with Keras's {backend} backend")
    try:
        return Tracking({id(thing): key for key, thing in tracked(model)})
    except Exception as error:  # code of the user's and of TensorFlow's, which outputs of other formats do not need
        return Tracking(unknown=f"{type(error).__name__}: {first_lines(str(error), 1)}")


def tracked(root: Any) -> Iterator[tuple[str, Any]]:
    """Every object that TensorFlow tracks below ``root``, with its key, nearest first."""
    view = import_module("tensorflow").train.TrackableView(root)
    keys: dict[int, str] = {id(root): ""}
    holders = [root]  # keeps wrappers that TensorFlow makes for the look alive, so that nothing else gets their id
    for holder in holders:
        for name, child in view.children(holder).items():
            if id(child) not in keys:
                escaped = name.replace(".", "..").replace("/", ".S")
                keys[id(child)] = f"{keys[id(holder)]}/{escaped}".lstrip("/")
                holders.append(child)
                yield keys[id(child)], child
