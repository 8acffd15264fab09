"""Giving a live Keras model its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from remap.sides.keras.layers import walk


def assign_arrays(model: Any, values: Iterable[tuple[Any, np.ndarray]]) -> None:
    """Assign arrays to variables of a model, one after the other, and let its layers know.

    Args:
        model: A built model of Keras 3 or tf_keras.
        values: Variables, each with an array of its shape; taken one at a time.
    """
    for variable, array in values:
        assign(variable, array)
    settle(model)


def assign(variable: Any, array: np.ndarray) -> None:
    """Assign one array. Keras's torch backend (3.15) takes no float8 of numpy, and float32 holds each exactly."""
    narrow = array.dtype.name.startswith("float8")
    variable.assign(array.astype(np.float32) if narrow else array)


def settle(model: Any) -> None:
    """Let layers know that their variables were assigned: Normalization computes with copies of its own."""
    for layer, _ in walk(model):
        if hasattr(layer, "finalize_state") and layer.weights:
            layer.finalize_state()
