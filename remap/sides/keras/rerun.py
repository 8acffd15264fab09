"""Running one live Keras layer again, with other settings or other weights, and putting everything back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np

from remap.sides.framework import import_keras
from remap.sides.keras.assign import assign
from remap.sides.keras.attribute import attribute, before_activation, ends_in_activation
from remap.sides.keras.realise import attributes
from remap.tensors.to_numpy import to_numpy


def rerun(
    layer: Any,
    inputs: Sequence[np.ndarray],
    settings: Mapping[str, Any] | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
    keywords: Mapping[str, bool] | None = None,
) -> np.ndarray:
    """The first output of a layer, its own activation left out.

    Args:
        layer: A live layer or operation; it is as before afterwards.
        inputs: Arrays for its call.
        settings: What to set it to for the time, in the vocabulary of both sides.
        weights: Values for its weights by name, to change for the time.
        keywords: What to ask its call for by name, such as ``use_causal_mask``.
    """
    keras = import_keras()
    with ExitStack() as stack:
        for name, value in attributes(layer, settings or {}).items():
            stack.enter_context(attribute(layer, name, value))
        ends = ends_in_activation(layer) and getattr(layer, "activation", None) is not None
        if weights:
            stack.enter_context(holding(layer, weights))
        tensors = [keras.ops.convert_to_tensor(array) for array in inputs]
        run = partial(layer, *tensors, **(keywords or {}))
        output, before = before_activation(layer, run) if ends else (run(), None)
        output = output if before is None else before
    while isinstance(output, list | tuple):
        output = output[0]
    return np.asarray(to_numpy(output))


@contextmanager
def holding(layer: Any, weights: Mapping[str, np.ndarray]) -> Iterator[None]:
    """A layer with other weights for the time.

    Args:
        layer: A live layer.
        weights: Values for its weights, by the names of :func:`weights_of`.
    """
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
    """A layer's variables by the end of their paths: as few components as tell them apart."""
    variables = list(getattr(layer, "weights", ()))
    paths = [variable.path.split("/") for variable in variables]
    for count in range(1, max(map(len, paths), default=0) + 1):
        names = ["/".join(path[-count:]) for path in paths]
        if len(set(names)) == len(names):
            return dict(zip(names, variables, strict=True))
    return {variable.path: variable for variable in variables}


def arrays_of(layer: Any) -> dict[str, np.ndarray]:
    """The values of a layer's variables, as copies."""
    return {name: np.array(to_numpy(variable)) for name, variable in weights_of(layer).items()}
