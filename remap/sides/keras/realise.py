"""Which attributes of a live Keras layer realise the settings of both sides' vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remap.sides.framework import import_keras
from remap.sides.keras.family import family_of
from remap.sides.keras.layers import settings_of_any
from remap.sides.keras.operations import described, operation_of
from remap.sides.operation import POOLING, SAME, Operation

_ATTRIBUTES = {"stride": "strides", "dilation": "dilation_rate"}
"""Attributes that are not called as their settings."""
_ACTIVATIONS = ("activation", "recurrent_activation")


def described_live(layer: Any) -> tuple[Operation, dict[str, Any]]:
    """Operation and settings of a live layer."""
    return described(family_of(layer), settings_of_any(layer))


def setting(layer: Any, name: str) -> Any:
    """What a live layer is set to now, be it of Keras's own or a user's; None where it has no such attribute."""
    return getattr(layer, _attribute(layer, name), None)


def attributes(layer: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a layer, and the values under which it is set as wanted.

    Args:
        layer: A live layer.
        settings: Some of its settings. Padding is by ``same`` or none, a crop is none: Keras has layers of their own
            for the rest.

    Raises:
        ValueError: A padding or crop that only a layer of its own realises.

    >>> attributes(object(), {"stride": (2, 2), "padding": ((0, 0), (0, 0))})
    {'strides': (2, 2), 'padding': 'valid'}
    """
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if name in ("padding", "crop") and value != SAME:
            if any(map(any, value)):
                raise ValueError(f"no attribute of a Keras layer realises the {name} {value}")
            values |= {"padding": "valid"} if name == "padding" else {"padding": "valid", "output_padding": None}
        elif name in _ACTIVATIONS and isinstance(value, str):
            values[name] = import_keras().activations.get(value)
        else:
            values[_attribute(layer, name)] = value
    return values


def _attribute(layer: Any, name: str) -> str:
    if name == "kernel_size" and operation_of(family_of(layer)) in POOLING:
        return "pool_size"
    return _ATTRIBUTES.get(name, name)


def spatial_sizes(layer: Any, shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The spatial sizes in the shape of a layer's input.

    >>> spatial_sizes(object(), (1, 8, 9, 3), 2)
    (8, 9)
    """
    first = first_spatial(layer)
    return shape[first : first + rank]


def first_spatial(layer: Any) -> int:
    """The first spatial axis of what a layer takes and gives."""
    return 2 if getattr(layer, "data_format", None) == "channels_first" else 1
