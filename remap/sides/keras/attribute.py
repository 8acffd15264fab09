"""Attributes of live layers, changed for a time; and the activation that a layer ends in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from remap.sides.keras.family import KERAS, family_of
from remap.sides.keras.operations import operation_of
from remap.sides.operation import CONVOLVING, Operation

ACTIVATED = (*CONVOLVING, Operation.LINEAR)
"""Operations of layers that end in an activation of their own, which is looked at as a layer of its own."""


def ends_in_activation(layer: Any) -> bool:
    """Whether a layer is made from one that ends in an activation, be it none, and lets it be changed for a time."""
    return operation_of(family_of(layer)) in ACTIVATED and not hasattr(type(layer), "activation")


def runs_as_keras_wrote_it(layer: Any) -> bool:
    """Whether nobody wrote another ``call`` for a layer: one may use its activation twice, never, or not at its end."""
    return type(layer).call.__module__.partition(".")[0] in KERAS


def before_activation(layer: Any, call: Callable[[], Any]) -> tuple[Any, Any]:
    """What a call of a layer gives, and what its activation was given; None where the call does not end in it."""
    activation, uses = layer.activation, list[tuple[Any, Any]]()

    def noting(*args: Any, **kwargs: Any) -> Any:
        result = activation(*args, **kwargs)
        uses.append((next(iter((*args, *kwargs.values())), None), result))
        return result

    with attribute(layer, "activation", noting):
        output = call()
    return output, uses[0][0] if len(uses) == 1 and uses[0][1] is output else None


@contextmanager
def attribute(layer: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute of one object, set past whatever its class does on setting, and taken back."""
    held = name in vars(layer)
    before = vars(layer).get(name)
    object.__setattr__(layer, name, value)
    try:
        yield
    finally:
        if held:
            object.__setattr__(layer, name, before)
        else:
            object.__delattr__(layer, name)
