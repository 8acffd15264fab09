"""Running one live Keras layer again, with other settings or other weights, and putting everything back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from remap.sides.framework import import_keras
from remap.sides.keras.assign import assign
from remap.sides.keras.attribute import attribute, ends_in_activation
from remap.tensors.to_numpy import to_numpy


def rerun(
    layer: Any,
    inputs: Sequence[np.ndarray],
    settings: Mapping[str, Any] | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """The first output of a layer, its own activation left out.

    Args:
        layer: A live layer or operation; it is as before afterwards.
        inputs: Arrays for its call.
        settings: Attributes to change for the time.
        weights: Values for its weights by name, to change for the time.
    """
    keras = import_keras()
    with ExitStack() as stack:
        for name, value in (settings or {}).items():
            stack.enter_context(attribute(layer, name, value))
        if ends_in_activation(layer):
            stack.enter_context(attribute(layer, "activation", None))
        if weights:
            stack.enter_context(_weights(layer, weights))
        tensors = [keras.ops.convert_to_tensor(array) for array in inputs]
        output = layer(*tensors)
    while isinstance(output, list | tuple):
        output = output[0]
    return np.asarray(to_numpy(output))


@contextmanager
def _weights(layer: Any, weights: Mapping[str, np.ndarray]) -> Iterator[None]:
    variables = weights_of(layer)
    before = {name: np.array(to_numpy(variables[name])) for name in weights}
    try:
        for name, value in weights.items():
            assign(variables[name], value)
        yield
    finally:
        for name, value in before.items():
            assign(variables[name], value)


def weights_of(layer: Any) -> dict[str, Any]:
    """A layer's variables by the end of their paths, one component where that tells them apart."""
    variables = list(getattr(layer, "weights", ()))
    short = [variable.path.rpartition("/")[2] for variable in variables]
    if len(set(short)) == len(short):
        return dict(zip(short, variables, strict=True))
    return {"/".join(variable.path.split("/")[-2:]): variable for variable in variables}


def arrays_of(layer: Any) -> dict[str, np.ndarray]:
    """The values of a layer's variables, as copies."""
    return {name: np.array(to_numpy(variable)) for name, variable in weights_of(layer).items()}
