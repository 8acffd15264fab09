"""Rotary positions: other frequencies than PyTorch's, or channels turned in other pairs.

They are inside of an attention layer, which is run again with PyTorch's own angles, or with other pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from remap.proving.cause import Cause
from remap.proving.limits import SERIES
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.framework import import_keras
from remap.sides.keras.attribute import attribute
from remap.sides.keras.rerun import rerun
from remap.sides.operation import Operation
from remap.sides.vocabulary.keras_hub import ANGLES, TURN

HALVES, NEIGHBOURS = "halves", "neighbours"
"""Which two channels are turned: the first half with the second, or each with the next."""
FIX_PAIRS = "the Keras model turns other pairs of channels: reorder those of queries and keys in the rule"


@dataclass(frozen=True, slots=True)
class Angles:
    """Cosines and sines of PyTorch, of shape (batch or 1, positions, half of the channels that are turned).

    Args:
        cos: Cosines, with whatever factor PyTorch gives them.
        sin: Sines, likewise.
        told: The frequencies, in words.
    """

    cos: np.ndarray
    sin: np.ndarray
    told: str


def trials(site: Site) -> Iterator[Trial]:
    """PyTorch's angles in the place of Keras's, other pairs, and both together."""
    for position, layer, inputs in _attentions(site):
        rotary = _rotary(layer)
        if rotary is None:
            continue
        name = site.side.names.get(id(rotary), rotary.name)
        for pairs in (HALVES, NEIGHBOURS):
            for angles in (None, *_angles(site)):
                told = " and ".join(
                    part
                    for part in (angles.told if angles else "", f"{pairs} turned" if pairs != HALVES else "")
                    if part
                )
                if told:
                    yield Trial(
                        f"{told} in {name}",
                        partial(_turned, layer, rotary, inputs, angles, pairs),
                        position,
                        hint=None if angles else FIX_PAIRS,
                    )


def _attentions(site: Site) -> Iterator[tuple[int, Any, tuple[np.ndarray, ...]]]:
    """Layers to run again: those of the steps, and the one that the row's is part of."""
    for position, step in enumerate(site.steps):
        yield position, step.layer, step.inputs
    keras = site.side.trace
    parent = keras.calls[site.row.keras_call].parent if site.row.keras_call is not None else None
    if parent is not None and site.steps:
        inputs = tuple(keras.values[value] for value in keras.calls[parent].inputs)
        yield len(site.steps) - 1, site.side.layer_of.get(parent), inputs


def _rotary(layer: Any) -> Any:
    """The one layer in it that turns queries and keys; None where there is none, or more."""
    inside = {id(value): value for value in getattr(layer, "__dict__", {}).values() if hasattr(value, ANGLES)}
    turning = [value for value in inside.values() if hasattr(value, TURN)]
    return turning[0] if len(turning) == 1 else None


def _angles(site: Site) -> Iterator[Angles]:
    """All that PyTorch computes before the row, each with the factor that may follow."""
    cosines, sines = (
        [event for event in site.events if event.operation is operation]
        for operation in (Operation.COSINE, Operation.SINE)
    )
    for one in cosines:
        for other in sines:
            if np.array_equal(one.inputs[0], other.inputs[0]):
                angles = half(one.inputs[0])
                cos, sin = (half(_scaled(site, event.output), like=event.inputs[0]) for event in (one, other))
                if angles.ndim == 3 and angles.shape[1] > 1:
                    yield Angles(cos, sin, _told(angles))


def _scaled(site: Site, value: np.ndarray) -> np.ndarray:
    """A value times a number, where PyTorch multiplies it by one."""
    for event in site.events:
        if event.operation is Operation.MULTIPLY and len(event.inputs) == 1 and np.array_equal(event.inputs[0], value):
            return event.output
    return value


def half(array: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Every angle once, where each stands twice: in both halves, or twice running.

    Args:
        array: What is to be halved along its last axis.
        like: The angles that it was made from; itself if None.

    >>> half(np.array([1, 2, 1, 2])).tolist(), half(np.array([1, 1, 2, 2])).tolist(), half(np.array([1, 2])).tolist()
    ([1, 2], [1, 2], [1, 2])
    """
    like = array if like is None else like
    count = like.shape[-1] // 2
    if like.shape[-1] % 2 == 0 and np.array_equal(like[..., :count], like[..., count:]):
        return array[..., :count]
    if like.shape[-1] % 2 == 0 and np.array_equal(like[..., ::2], like[..., 1::2]):
        return array[..., ::2]
    return array


def _told(angles: np.ndarray) -> str:
    """Frequencies by their base and a divisor, where they are base ** (-2 i / channels) / divisor."""
    steps = (angles[0, -1] - angles[0, -2]).astype(np.float64)
    if steps.min() <= 0 or len(steps) < 2:
        return "PyTorch's own frequencies"
    slope = np.log(steps[-1] / steps[0]) / (len(steps) - 1)
    series = steps[0] * np.exp(slope * np.arange(len(steps)))
    if np.any(np.abs(series - steps) > SERIES * steps):
        return "PyTorch's own frequencies"
    base, divisor = float(f"{np.exp(-slope * len(steps)):.4g}"), 1 / steps[0]
    return f"frequencies of base {base:g}" + (f", divided by {divisor:.4g}," if abs(divisor - 1) > SERIES else "")


def _turned(layer: Any, rotary: Any, inputs: tuple[np.ndarray, ...], angles: Angles | None, pairs: str) -> np.ndarray:
    """The attention layer's output, its queries and keys turned otherwise."""
    own = getattr(rotary, ANGLES)

    def compute(x: Any, *args: Any, **kwargs: Any) -> Any:
        if angles is None:
            return tuple(value[..., : value.shape[-1] // 2] for value in own(x, *args, **kwargs))
        ops, between = import_keras().ops, (1,) * (len(x.shape) - 3)
        return tuple(
            ops.cast(ops.reshape(value, (*value.shape[:2], *between, value.shape[2])), x.dtype)
            for value in (angles.cos, angles.sin)
        )

    with ExitStack() as stack:
        stack.enter_context(attribute(rotary, ANGLES, compute))
        stack.enter_context(attribute(rotary, TURN, partial(_turn, pairs)))
        return rerun(layer, inputs)


def _turn(pairs: str, x: Any, cos: Any, sin: Any) -> Any:
    """Pairs of channels turned by their angles."""
    ops = import_keras().ops
    one, other = ops.split(x, 2, axis=-1) if pairs == HALVES else (x[..., ::2], x[..., 1::2])
    turned = (one * cos - other * sin, other * cos + one * sin)
    if pairs == HALVES:
        return ops.concatenate(turned, axis=-1)
    return ops.reshape(ops.stack(turned, axis=-1), ops.shape(x))


CAUSE = Cause(
    "V506",
    "rotary positions",
    "the two turn queries and keys by other angles, or in other pairs of channels",
    "model",
    "give the Keras model PyTorch's rope_theta and rope_scaling",
    trials,
)
