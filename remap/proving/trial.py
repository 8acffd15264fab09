"""One suspicion about a place where two networks part, and how it is put to the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from remap.proving.site import Site
from remap.proving.step import Step

Blame = Literal["model", "weights", "torch", "rounding", "unknown"]


@dataclass(frozen=True, slots=True)
class Crossing:
    """A layer that a rule gives the weights of another module than the one that it computes.

    Args:
        layer: Path of the Keras layer.
        sent: Path of the module whose weights it has.
        computes: Path of the module that it computes.
        other: Path of the layer that has that module's weights.
    """

    layer: str
    sent: str
    computes: str
    other: str


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
        against: PyTorch's call that the value is held against; whichever of the site's is nearest if None.
        why: A sentence that comes before what the trial showed.
        layer: The Keras layer that is to blame; the step's if empty.
        crossing: Which module the layer computes, where it has the weights of another.
    """

    text: str
    compute: Callable[[], np.ndarray]
    step: int = 0
    blame: Blame | None = None
    hint: str | None = None
    title: str = ""
    also: tuple[str, ...] = ()
    expected: np.ndarray | None = None
    against: Step | None = None
    why: str = ""
    layer: str = ""
    crossing: Crossing | None = None


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
