"""What an input is: ids, a mask, positions, types, lengths, pixels, or numbers; and arrays of each kind."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from remap.errors import Problem, UsageError
from remap.sides.feed import InputKind, KerasInput

_WORDS: tuple[tuple[InputKind, frozenset[str]], ...] = (
    (InputKind.POSITIONS, frozenset({"position", "positions", "pos"})),
    (InputKind.TYPES, frozenset({"segment", "segments", "type", "types"})),
    (InputKind.MASK, frozenset({"mask", "masks"})),
    (InputKind.LENGTHS, frozenset({"length", "lengths", "lens", "len"})),
    (InputKind.IDS, frozenset({"id", "ids", "token", "tokens", "indices"})),
)
_SPLIT = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
PIXELS = 256
SHOWN_BELOW = 2
"""What integers are drawn below where nothing tells."""


def named_kind(*names: str) -> InputKind | None:
    """What names say that an input is; None where they say nothing.

    >>> str(named_kind("attention_mask")), str(named_kind("x", "input_ids")), named_kind("hidden_states")
    ('mask', 'ids', None)
    >>> str(named_kind("mask_positions")), str(named_kind("token_type_ids"))
    ('positions', 'types')
    """
    words = {word.lower() for name in names for word in _SPLIT.findall(name)}
    return next((kind for kind, known in _WORDS if words & known), None)


def demand_numbers(inputs: Sequence[KerasInput]) -> None:
    """Raise for a Keras model that takes text: PyTorch's networks take the ids that are made of it.

    Raises:
        UsageError: An input is text.
    """
    problems = [
        Problem(
            "the Keras model takes text, PyTorch's takes numbers",
            where=f"input {entry.name}",
            found=entry.dtype,
            expected="a model that takes the ids",
            fix="return keras.Model(model.get_layer(NAME).output, model.outputs), NAME the layer that makes the ids",
        )
        for entry in inputs
        if entry.dtype == "string"
    ]
    if problems:
        raise UsageError(problems)


def array_of(
    kind: InputKind,
    shape: Sequence[int],
    dtype: np.dtype,
    random: np.random.Generator,
    *,
    bound: int | None = None,
    avoid: Sequence[int] = (),
) -> tuple[np.ndarray, str]:
    """An array of a kind, and what was drawn in words.

    Args:
        kind: What it is.
        shape: Its sizes, the batch first.
        dtype: Its element type.
        random: Where from.
        bound: Integers are below it: the size of a table; of lengths, the longest and one.
        avoid: Integers that are not drawn.

    >>> array_of(InputKind.POSITIONS, (1, 4), np.dtype("int64"), np.random.default_rng(0))[0]
    array([[0, 1, 2, 3]])
    """
    size = shape[-1] if shape else 1
    if kind is InputKind.MASK:
        kept = random.integers(max((size + 1) // 2, 1), max(size, 2), tuple(shape[:1]) + (1,) * (len(shape) - 1))
        kept = kept if len(shape) > 1 else kept.max(initial=1)
        array = np.broadcast_to(np.arange(size) < kept, shape)
        return array.astype(dtype), "a mask: ones first, then zeros" if not array.all() else "a mask of ones"
    if kind is InputKind.POSITIONS:
        order = np.arange(size) % bound if bound else np.arange(size)
        return np.broadcast_to(order, shape).astype(dtype), "positions in order"
    if kind is InputKind.LENGTHS:
        longest = max((bound or SHOWN_BELOW) - 1, 1)
        shortest = (longest + 1) // 2
        return random.integers(shortest, longest + 1, shape).astype(dtype), f"lengths from {shortest} to {longest}"
    if kind is InputKind.PIXELS:
        pixels = random.integers(0, PIXELS, shape)
        return pixels.astype(dtype), f"pixels from 0 to {PIXELS - 1}"
    if kind is InputKind.NUMBERS:
        return random.standard_normal(shape).astype(dtype), "standard normal numbers"
    below = bound or SHOWN_BELOW
    choice = np.setdiff1d(np.arange(below), avoid)
    return random.choice(choice, shape).astype(dtype), f"{kind} from 0 to {below - 1}"
