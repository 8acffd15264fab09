"""The place where two networks part: the last values that agree, and what both sides do from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from remap.planning.plan import Plan
from remap.proving.difference import Difference, Tolerance, largest_of
from remap.proving.forms import closest
from remap.proving.rows import Row
from remap.proving.step import Step, again, step_of
from remap.sides.feed import Feed
from remap.sides.keras.side import KerasSide
from remap.sides.trace import Trace
from remap.tensors.dtypes import is_float

Known = TypeVar("Known")


@dataclass
class Site:
    """Where the two part.

    Args:
        row: The first row that differs.
        steps: Keras's calls from the last values that agree to the row's own; empty where none was seen.
        events: PyTorch's calls between the same places.
        unseen: A Keras value that no call was seen to make, on the way to the row; None where all were.
        branches: Layers that take several values which differ: all but one are taken as PyTorch has them.
        torch: PyTorch's trace.
        side: The Keras side.
        plan: The plan.
        tolerance: The tolerance.
        feeds: Inputs on which the whole Keras model can run again; none where it cannot.
    """

    row: Row
    steps: list[Step]
    events: list[Step]
    torch: Trace
    side: KerasSide
    plan: Plan
    tolerance: Tolerance
    unseen: np.ndarray | None = None
    branches: list[str] = field(default_factory=list)
    feeds: Sequence[Feed] = ()
    _known: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False)

    def once(self, tell: Callable[[Site], Known]) -> Known:
        """What a function tells of the site, asked the first time only: several causes may need it."""
        if tell not in self._known:
            self._known[tell] = tell(self)
        known: Known = self._known[tell]
        return known

    @cached_property
    def depth(self) -> int:
        """Layers before the row."""
        return self.torch.depths[-1 if self.row.torch_call is None else self.row.torch_call]

    def allowed(self, expected: np.ndarray, noise: float | None) -> float:
        """How far a value may be from ``expected`` here.

        Args:
            expected: PyTorch's value.
            noise: Its rounding error, where it was measured.
        """
        return self.tolerance.of(largest_of(expected), self.depth, noise)

    def against(self, value: np.ndarray) -> tuple[Difference, Step] | None:
        """The event whose output is nearest to a value, later ones first; None where no shape fits."""
        best: tuple[Difference, Step] | None = None
        for event in reversed(self.events):
            near = closest(
                event.output,
                value,
                self.allowed(event.output, event.noise),
                self.row.pair is not None and self.row.pair.parts,
            )
            if near is not None and (best is None or near[1].largest < best[0].largest):
                best = near[1], event
            if best is not None and best[0].largest <= self.allowed(best[1].output, best[1].noise):
                return best
        return best

    def through(self, position: int, value: np.ndarray) -> np.ndarray:
        """What the steps from ``position`` on make of a value."""
        for step in self.steps[position:]:
            value = again(step, value)
        return value

    def paddings_before(self, step: Step) -> list[Step]:
        """The padding layers right before a step, whether they are part of the site or not."""
        keras, paddings = self.side.trace, list[Step]()
        while True:
            made_by = keras.producers.get((paddings[0] if paddings else step).call.inputs[0])
            if made_by is None:
                return paddings
            before = step_of(keras, keras.calls[made_by], self.side.layer_of.get(made_by))
            if not before.pads:
                return paddings
            paddings.insert(0, before)

    @property
    def modules(self) -> tuple[str, ...]:
        """Paths of the PyTorch modules that the row's layer is made from."""
        return self.row.pair.modules if self.row.pair is not None else ()

    @property
    def lowered(self) -> str:
        """What computes here in less than the precision that all is compared in; empty where nothing does."""
        asked = 8 if self.tolerance.float64 else 4
        torch = [(event.call.title, event.dtype) for event in self.events]
        for side, calls in (("Keras", self._beside_row()), ("PyTorch", torch)):
            for title, dtype in calls:
                if is_float(dtype) and dtype.itemsize < asked:
                    return f"{side} computes {title} in {dtype.name}"
        return ""

    def _beside_row(self) -> list[tuple[str, np.dtype]]:
        """What computes in what: the calls of the site, and those inside of the layer that the row's is part of."""
        keras = self.side.trace
        calls = [(step.call.title, step.dtype) for step in self.steps]
        if self.unseen is not None and self.row.keras_call is not None:
            parent = keras.calls[self.row.keras_call].parent
            inside = [call for call in keras.calls if call.parent == parent and parent is not None and call.outputs]
            calls += [(call.title, keras.values[call.outputs[0]].dtype) for call in inside]
        if not calls and self.row.keras_value >= 0:
            calls.append((self.row.layer, keras.values[self.row.keras_value].dtype))
        return calls

    @property
    def blamed(self) -> int:
        """Position of the step that is suspected first: the first that is no padding."""
        for position, step in enumerate(self.steps):
            if not step.pads:
                return position
        return len(self.steps) - 1
