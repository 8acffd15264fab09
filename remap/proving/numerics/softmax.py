"""Softmax attention in numpy, and the ways in which two kinds of it can differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import permutations
from typing import Literal

import numpy as np

from remap.proving.limits import HIDDEN, LOWEST
from remap.proving.numerics.activations import single, softmax
from remap.proving.numerics.bands import Band, band_of
from remap.proving.step import Step
from remap.sides.operation import Operation

Scale = Callable[[int, int], float]
SCALES: dict[str, Scale] = {
    "1/sqrt(head size)": lambda size, heads: size**-0.5,
    "1": lambda size, heads: 1.0,
    "1/sqrt(width)": lambda size, heads: (size * heads) ** -0.5,
    "1/head size": lambda size, heads: 1.0 / size,
    "sqrt(head size)": lambda size, heads: size**0.5,
}
NO_MASK, CAUSAL = "no mask", "a causal mask"
Interleaved = Literal["", "inputs", "everywhere"]


class AttentionFault(Enum):
    """How one kind of attention is apart from another."""

    NONE = auto()
    ORDER = auto()
    HEADS = auto()
    ROUNDED = auto()
    SCALE = auto()
    MASK = auto()
    SCALE_AND_MASK = auto()


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of attention.

    Args:
        scale: Factor of the scores, of :data:`SCALES`.
        mask: Name of the mask.
        order: Which of query, key and value take the places of query, key and value.
        heads: Number of heads; 0 for as many as there are.
        interleaved: Whether a head's channels lie apart, those of all heads side by side; for the three inputs, or
            for the output projection too.
    """

    scale: str = "1/sqrt(head size)"
    mask: str = NO_MASK
    order: tuple[int, int, int] = (0, 1, 2)
    heads: int = 0
    interleaved: Interleaved = ""
    rounded: bool = False

    @property
    def plain(self) -> bool:
        """Whether nothing but scale and mask is special about it."""
        return self.order == (0, 1, 2) and not self.heads

    def factor(self, size: int, heads: int) -> float:
        """What the scores are multiplied by, for heads of a size and as many of them."""
        scale = SCALES[self.scale](size, heads)
        return single(scale) if self.rounded else scale

    def apart_from(self, own: Variant) -> AttentionFault:
        """What it would be if this one were wanted, where the other is what is there."""
        if self.order != own.order:
            return AttentionFault.ORDER
        if (self.heads, self.interleaved) != (own.heads, own.interleaved):
            return AttentionFault.HEADS
        if replace(self, rounded=own.rounded) == own:
            return AttentionFault.ROUNDED
        if self.scale == own.scale:
            return AttentionFault.MASK if self.mask != own.mask else AttentionFault.NONE
        return AttentionFault.SCALE_AND_MASK if self.mask != own.mask else AttentionFault.SCALE

    def told_beside(self, other: Variant) -> str:
        """In words, as far as it is not like the other."""
        told = []
        if self.order != other.order:
            names = [("query", "key", "value")[source] for source in self.order]
            told.append(f"{', '.join(names)} as query, key, value")
        if (self.heads, self.interleaved) != (other.heads, other.interleaved):
            lie = "the channels of all heads side by side" if self.interleaved else "each head's channels together"
            told.append(f"{self.heads or 'the same number of'} heads, {lie}")
        if (self.scale, self.rounded) != (other.scale, other.rounded):
            told.append(f"scale {self.scale}{' rounded to float32' if self.rounded else ''}")
        if self.mask != other.mask:
            told.append(self.mask)
        return " and ".join(told)


PLAIN = Variant()


def variants(masks: Mapping[str, np.ndarray], heads: Sequence[int], float64: bool) -> Iterator[Variant]:
    """Every kind: scales and masks together, the rest one by one beside the masks.

    Args:
        masks: Masks by name.
        heads: Numbers of heads.
        float64: Whether it shows that a scale is rounded to float32.
    """
    for mask in (NO_MASK, *masks):
        for scale in SCALES:
            yield Variant(scale, mask)
        if float64:
            yield Variant(mask=mask, rounded=True)
    for mask in (NO_MASK, *masks):
        plain = Variant(mask=mask)
        for order in list(permutations(range(3)))[1:]:
            yield replace(plain, order=(order[0], order[1], order[2]))
        for count in dict.fromkeys(heads):
            yield replace(plain, heads=count)
            for interleaved in ("inputs", "everywhere"):
                yield replace(plain, heads=count, interleaved=interleaved)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, mask: np.ndarray | None) -> np.ndarray:
    """Softmax attention; arrays of shape (batch, heads, positions, size), a mask that is added to the scores."""
    scores = (q.astype(np.float64) * scale) @ k.swapaxes(-1, -2)
    return np.asarray(softmax(scores if mask is None else scores + mask, -1) @ v)


def split(array: np.ndarray, heads: int, interleaved: bool = False) -> np.ndarray:
    """Arrays of shape (batch, positions, ...) split into heads anew, as (batch, heads, positions, size).

    >>> one = np.arange(4).reshape(1, 1, 4)
    >>> split(one, 2)[0, :, 0].tolist(), split(one, 2, interleaved=True)[0, :, 0].tolist()
    ([[0, 1], [2, 3]], [[0, 2], [1, 3]])
    """
    batch, positions = array.shape[:2]
    if interleaved:
        return array.reshape(batch, positions, -1, heads).transpose(0, 3, 1, 2)
    return array.reshape(batch, positions, heads, -1).swapaxes(1, 2)


def masks_of(steps: Sequence[Step], batch: int, queries: int, keys: int) -> dict[str, np.ndarray]:
    """Masks by name, as what is added to the scores: the causal one, and those that went into the steps.

    One query alone is the last token of a text: to it a causal mask is none.

    Args:
        steps: Calls of Keras's or of PyTorch's attention, or of the softmax in PyTorch's.
        batch: Number of samples.
        queries: Number of queries.
        keys: Number of keys.
    """
    masks = {CAUSAL: Band(keys, 0, keys, queries).mask()} if 1 < queries <= keys else {}
    for step in steps:
        keras = step.layer is not None
        for mask in _given(step):
            kept = mask.dtype.kind != "f"
            shaped = _shaped(mask, batch, queries) if mask.ndim >= 2 and mask.shape[-1] == keys else None
            if shaped is None or (keras and not kept):
                continue
            keeps = keras or step.attends or step.operation is Operation.SOFTMAX
            added = np.where((shaped != 0) == keeps, 0.0, LOWEST) if kept else np.maximum(shaped, LOWEST)
            masks["Keras's mask" if keras else "PyTorch's mask"] = added
    return {_told(name, mask): mask for name, mask in masks.items()}


def _given(step: Step) -> list[np.ndarray]:
    """What may be a mask: that of attention is an input; that of a softmax shows in the scores."""
    if step.operation is Operation.SOFTMAX:
        seen = step.inputs[0] > HIDDEN
        return [] if seen.all() else [seen]
    first = step.inputs[0]
    return [mask for mask in step.inputs[1:] if (mask.shape, mask.dtype) != (first.shape, first.dtype)]


def _told(name: str, mask: np.ndarray) -> str:
    band = band_of(mask) if name != CAUSAL else None
    return f"{name} ({band.told()})" if band is not None else name


def _shaped(mask: np.ndarray, batch: int, queries: int) -> np.ndarray | None:
    """A mask as (batch, heads, queries, keys); None for what is none."""
    keys = mask.shape[-1]
    if mask.shape == (batch, keys) and batch != queries:
        return mask[:, None, None, :]
    if mask.ndim == 2:
        return mask if mask.shape[0] == queries else None
    if mask.shape[-2] not in (1, queries) or mask.shape[0] % batch:
        return None
    return mask.reshape(batch, -1, *mask.shape[-2:]) if mask.ndim == 3 else mask
