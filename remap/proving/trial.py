"""One suspicion about a place where two networks part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from remap.proving.site import Site

Blame = Literal["model", "weights", "torch", "rounding", "unknown"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One suspicion.

    Args:
        cause: What it suspects, one or two words: ``padding``.
        text: What was changed, after "with": ``padding 1 on every side``.
        compute: The value under the suspicion, in Keras's layout.
        step: Position of the suspected step among the site's.
        blame: Whose fault it would be.
        hint: What to do about it.
        expected: For a suspicion that reproduces what Keras has: that value.
    """

    cause: str
    text: str
    compute: Callable[[], np.ndarray]
    step: int = 0
    blame: Blame = "model"
    hint: str = ""
    expected: np.ndarray | None = None


Trials = Callable[[Site], Iterator[Trial]]
