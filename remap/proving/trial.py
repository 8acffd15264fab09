"""One suspicion about a place where two networks part, and how it is put to the test."""

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
        text: What was changed, after "with": ``padding 1 on every side``.
        compute: The value under the suspicion, in Keras's layout.
        step: Position of the suspected step among the site's.
        blame: Whose fault it would be; as the cause says if None.
        hint: What to do about it; the cause's own if None.
        title: What the cause is called here; its name if empty.
        also: Codes of other causes that it takes at once.
        expected: For a suspicion that reproduces what Keras has: that value.
    """

    text: str
    compute: Callable[[], np.ndarray]
    step: int = 0
    blame: Blame | None = None
    hint: str | None = None
    title: str = ""
    also: tuple[str, ...] = ()
    expected: np.ndarray | None = None


Trials = Callable[[Site], Iterator[Trial]]
"""What looks at a site and yields its suspicions, the likeliest first."""


@dataclass(frozen=True, slots=True)
class FailedTrial:
    """A suspicion that could not be put to the test: it confirms nothing.

    Args:
        code: Code of its cause.
        text: What was to be changed; empty where the looking itself failed.
        error: What was raised, in words.
    """

    code: str
    text: str
    error: str

    def __str__(self) -> str:
        return f"{self.code}{f' with {self.text}' if self.text else ''}: {self.error}"
