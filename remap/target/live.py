"""What Keras 3 and tf_keras (Keras 2) call differently on their live objects."""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

import numpy as np


def framework_of(model: Any) -> Any:
    """The module, ``keras`` or ``tf_keras``, that a model belongs to."""
    return sys.modules[next(root for root in _roots(model) if root in ("keras", "tf_keras"))]


def is_keras2(thing: Any) -> bool:
    """Whether a layer or model is one of tf_keras."""
    return "tf_keras" in _roots(thing)


def _roots(thing: Any) -> list[str]:
    return [base.__module__.split(".")[0] for base in type(thing).__mro__]


def clear_sessions() -> None:
    """Let automatic names start afresh, in every Keras that is loaded."""
    for name in ("keras", "tf_keras"):
        if name in sys.modules:
            sys.modules[name].backend.clear_session()


def path_of(variable: Any) -> str:
    """Scopes and name of a variable; tf_keras has them in the name, with ``:0`` behind."""
    return str(variable.path if hasattr(variable, "path") else variable.name.split(":")[0])


def legacy_name(variable: Any) -> str:
    """What the legacy ``.h5`` layout calls a variable."""
    return str(variable.path if hasattr(variable, "path") else variable.name)


def dtype_name(variable: Any) -> str:
    """``float32`` ..."""
    return str(getattr(variable.dtype, "name", variable.dtype))


def value_of(variable: Any) -> np.ndarray:
    """A copy of the value."""
    if hasattr(variable, "path"):
        return np.asarray(sys.modules["keras"].ops.convert_to_numpy(variable))
    return np.asarray(variable.numpy())


def checkpoint_keys(model: Any) -> dict[int, str]:
    """For each variable of a tf_keras model (by ``id``), its key in an object-based TensorFlow checkpoint.

    The key is the shortest way to it over the objects that TensorFlow tracks, ``layer_with_weights-0/kernel``, with
    ``.`` and ``/`` inside of names escaped as TensorFlow does, and without the ending that all keys have.
    """
    import tensorflow as tf

    view = tf.train.TrackableView(model)
    keys: dict[int, str] = {id(model): ""}
    found: dict[int, str] = {}
    waiting: deque[Any] = deque([model])
    while waiting:
        holder = waiting.popleft()
        for name, child in view.children(holder).items():
            if id(child) in keys:
                continue
            escaped = name.replace(".", "..").replace("/", ".S")
            keys[id(child)] = f"{keys[id(holder)]}/{escaped}".lstrip("/")
            waiting.append(child)
            if isinstance(child, tf.Variable):
                found[id(child)] = keys[id(child)]
    return found
