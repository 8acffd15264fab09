"""What goes into both networks, as each side takes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class InputKind(StrEnum):
    """What the numbers of an input stand for; a value is the word that ``--input`` takes for it."""

    NUMBERS = "numbers"
    PIXELS = "pixels"
    IDS = "ids"
    TYPES = "types"
    POSITIONS = "positions"
    LENGTHS = "lengths"
    MASK = "mask"


@dataclass(frozen=True, slots=True)
class KerasInput:
    """What a Keras model says of one of its inputs.

    Args:
        name: Its name.
        shape: Sizes without the batch, None where open.
        dtype: Its dtype.
        channels_first: Whether PyTorch wants the last axis of it as the first.
        bound: Integers below this, where it feeds an embedding.
        kind: What it is, where what the model does with it tells.
        invented: Whether nothing tells its dtype, so that ``float32`` stands there.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    channels_first: bool = False
    bound: int | None = None
    kind: InputKind | None = None
    invented: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """One input, drawn: the same numbers for both sides.

    Args:
        name: Keras's name.
        torch_name: Keyword for PyTorch; empty for positional.
        torch: The array in PyTorch's layout.
        keras: The array in Keras's layout.
        drawn: What was drawn, in words; empty where the array was given.
    """

    name: str
    torch_name: str
    torch: np.ndarray
    keras: np.ndarray
    drawn: str = ""
