"""What a Keras layer is: told by the classes that its class is made from, never by how it is called."""

from __future__ import annotations

from typing import Any

from remap.sides.vocabulary import keras_hub

KERAS = ("keras", "tf_keras")
REVIVED = ".saved_model.load"


def family_of(thing: Any) -> str:
    """The nearest class that the vocabulary can know among those that an object's class is made from.

    That is one of Keras's own, or one of keras_hub's that its table lists. Classes that Keras makes up where it loads
    somebody's SavedModel are called as somebody's were, and stand in Keras's own module: they tell nothing.
    """
    for base in type(thing).__mro__:
        root = base.__module__.partition(".")[0]
        if base.__module__.endswith(REVIVED):
            continue
        if root in KERAS or (root == "keras_hub" and base.__name__ in keras_hub.OPERATIONS):
            return base.__name__
    return ""
