"""Attributes of live layers, changed for a time; and the activation that a layer ends in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from remap.sides.keras.family import family_of
from remap.sides.keras.operations import operation_of
from remap.sides.operation import CONVOLVING, Operation

ACTIVATED = (*CONVOLVING, Operation.LINEAR)
"""Operations of layers that end in an activation of their own, which is looked at as a layer of its own."""


def ends_in_activation(layer: Any) -> bool:
    """Whether a layer is one that ends in an activation, be it none."""
    return operation_of(family_of(layer)) in ACTIVATED


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
