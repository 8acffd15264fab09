"""What goes into both networks, as each side takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class KerasInput:
    """What a Keras model says of one of its inputs.

    Args:
        name: Its name.
        shape: Sizes without the batch, None where open.
        dtype: Its dtype.
        channels_first: Whether PyTorch wants the last axis of it as the first.
        bound: Integers below this, where it feeds an embedding.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    channels_first: bool = False
    bound: int | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """One input, drawn: the same numbers for both sides.

    Args:
        name: Keras's name.
        torch_name: Keyword for PyTorch; empty for positional.
        torch: The array in PyTorch's layout.
        keras: The array in Keras's layout.
    """

    name: str
    torch_name: str
    torch: np.ndarray
    keras: np.ndarray
