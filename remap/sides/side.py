"""What the proof asks of a network, whichever framework it is written in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np

from remap.errors import TargetError
from remap.inventory.inventory import Inventory
from remap.sides.feed import Feed
from remap.sides.trace import Trace


class Side(Protocol):
    """A live network: it can be looked at, given numbers, run, and asked to run one call again.

    Names, numbers and numpy arrays alone cross it; no tensor of a framework does.

    Args:
        title: How messages call it.
        trace: What the last run did; empty before one.
    """

    title: str
    trace: Trace

    @classmethod
    def build(cls, spec: str, args: Mapping[str, object] | None = None) -> Self:
        """A fresh network, in inference mode.

        Args:
            spec: ``package.module:callable``, ``file.py:callable``, or a file that the framework saved.
            args: Arguments of the callable.

        Raises:
            TargetError: It cannot be built.
            MissingPackageError: The framework is not installed.
        """

    def inventory(self) -> Inventory:
        """Its variables and layers (PyTorch: tensors and modules), each layer with what it is set to."""

    def assign(self, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
        """Give variables their numbers, by the paths of the inventory; the others stay.

        Raises:
            TargetError: It has no such variable, or one of another shape.
        """

    def run(self, feeds: Sequence[Feed]) -> Trace:
        """One forward pass in inference mode, recorded; :attr:`trace` keeps it.

        Raises:
            TargetError: The network fails on the input.
        """

    def again(self, call: int, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The first output of one call of the last run, on other inputs; what it was set to stays.

        Args:
            call: Its position in the trace.
            inputs: As many arrays as the call had, in their order.
        """


def fitting(
    arrays: Iterable[tuple[str, np.ndarray]], held: Mapping[str, Any], title: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays by the paths of variables, one at a time.

    Raises:
        TargetError: There is no such variable, or it has another shape.

    >>> [name for name, _ in fitting([("a", np.zeros(2))], {"a": np.ones(2)}, "a network")]
    ['a']
    """
    for name, array in arrays:
        shape = tuple(held[name].shape) if name in held else None
        if shape != array.shape:
            raise TargetError(
                "an array fits no variable",
                where=f"{title}: {name}",
                found=f"shape {array.shape}",
                expected="no such variable" if shape is None else f"shape {shape}",
            )
        yield name, array
