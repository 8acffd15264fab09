"""The place where two networks part: the last values that agree, and what both sides do from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from remap.planning.plan import Plan
from remap.verifying.difference import Difference, Tolerance, largest_of
from remap.verifying.forms import closest
from remap.verifying.keras_side import ACTIVATION, KerasSide
from remap.verifying.rerun import rerun
from remap.verifying.rows import Row, last_depth
from remap.verifying.trace import Call, Trace

LONGEST = 60
"""A chain of Keras calls longer than this is not walked back."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call at the site, with its arrays.

    Args:
        call: What was called.
        layer: The live Keras layer, operation or activation; None on the PyTorch side.
        inputs: What went in.
        output: What came out first.
        noise: Rounding error of the output, where it was measured.
    """

    call: Call
    layer: Any
    inputs: tuple[np.ndarray, ...]
    output: np.ndarray
    noise: float | None = None

    @property
    def kind(self) -> str:
        """What it computes: for PyTorch the function, for Keras the class."""
        return str(self.call.settings.get("kind", self.call.kind))

    @property
    def settings(self) -> dict[str, Any]:
        """What it is set to."""
        return self.call.settings

    @property
    def name(self) -> str:
        """Name of the layer that messages point to."""
        return self.call.name.removesuffix(ACTIVATION)


@dataclass
class Site:
    """Where the two part.

    Args:
        row: The first row that differs.
        steps: Keras's calls from the last values that agree to the row's own; empty where none was seen.
        events: PyTorch's calls between the same places.
        unseen: A Keras value that no call was seen to make, on the way to the row; None where all were.
        torch: PyTorch's trace.
        side: The Keras side.
        plan: The plan.
        tolerance: The tolerance.
    """

    row: Row
    steps: list[Step]
    events: list[Step]
    torch: Trace
    side: KerasSide
    plan: Plan
    tolerance: Tolerance
    unseen: np.ndarray | None = None
    tried: list[str] = field(default_factory=list)

    @cached_property
    def depth(self) -> int:
        """Layers before the row."""
        return last_depth(self.torch, self.row.torch_call if self.row.torch_call is not None else len(self.torch.calls))

    def allowed(self, expected: np.ndarray, noise: float | None) -> float:
        """How far a value may be from ``expected`` here.

        Args:
            expected: PyTorch's value.
            noise: Its rounding error, where it was measured.
        """
        return self.tolerance.of(largest_of(expected), self.depth, noise)

    def against(self, found: np.ndarray) -> tuple[Difference, Step] | None:
        """The event whose output is nearest to a value, later ones first; None where no shape fits."""
        best: tuple[Difference, Step] | None = None
        for event in reversed(self.events):
            near = closest(
                event.output,
                found,
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
        """The ZeroPadding layers right before a step, whether they are part of the site or not."""
        keras, found = self.side.trace, list[Step]()
        while True:
            made_by = keras.producers.get((found[0] if found else step).call.inputs[0])
            if made_by is None or not keras.calls[made_by].kind.startswith("ZeroPadding"):
                return found
            found.insert(0, _step(keras, made_by, self.side.layer_of.get(made_by)))

    @property
    def blamed(self) -> int:
        """Position of the step that is suspected first: the first that is no padding."""
        for position, step in enumerate(self.steps):
            if not step.call.kind.startswith("ZeroPadding"):
                return position
        return len(self.steps) - 1


def again(step: Step, value: np.ndarray) -> np.ndarray:
    """A step once more, on another first input."""
    if step.call.name.endswith(ACTIVATION):
        return activated(step.layer, value)
    return rerun(step.layer, (value, *step.inputs[1:]))


def activated(function: Any, value: np.ndarray) -> np.ndarray:
    """A Keras activation function on an array."""
    from remap.checking.compare import as_numpy
    from remap.target.framework import import_keras

    return np.asarray(as_numpy(function(import_keras().ops.convert_to_tensor(value))))


def find_site(
    row: Row, known: Mapping[int, int], torch: Trace, side: KerasSide, plan: Plan, tolerance: Tolerance
) -> Site:
    """Walk back from a row that differs to the last values that agree.

    Args:
        row: A row that differs.
        known: Values of Keras that are equal to one of PyTorch, with its position.
        torch: PyTorch's trace.
        side: Keras's.
        plan: The plan.
        tolerance: How far values may be apart.
    """
    keras = side.trace
    site = Site(row, [], [], torch, side, plan, tolerance)
    ends = _torch_ends(row, torch)
    near = _Twins(site, keras, dict(known), _ancestors(torch, ends))
    value, starts, steps = row.keras_value, set[int](), list[int]()
    while len(steps) < LONGEST:
        made_by = keras.producers.get(value) if steps or row.keras_call is None else row.keras_call
        if made_by is None:
            site.unseen = keras.values[value]
            break
        steps.insert(0, made_by)
        floats = [i for i in keras.calls[made_by].inputs if keras.values[i].dtype.kind in "fiu"]
        twins = {i: near.twin(i) for i in floats}
        starts |= {twin for twin in twins.values() if twin is not None}
        apart = [i for i, twin in twins.items() if twin is None]
        if not apart:
            break
        value = apart[0]
    if site.unseen is not None:
        starts |= set(known.values())
    site.steps = [_step(keras, index, side.layer_of.get(index)) for index in steps]
    events = sorted({index for end in ends for index in torch.between(list(starts), end)})
    if row.torch_call is not None and row.torch_call not in events:
        events.append(row.torch_call)
    if not events and row.torch_value in torch.producers:
        events = [torch.producers[row.torch_value]]
    site.events = [_step(torch, index, None) for index in events if torch.calls[index].outputs]
    return site


def _step(trace: Trace, index: int, layer: Any) -> Step:
    call = trace.calls[index]
    value = call.outputs[0]
    return Step(call, layer, tuple(trace.values[i] for i in call.inputs), trace.values[value], trace.noise.get(value))


def _torch_ends(row: Row, torch: Trace) -> list[int]:
    return [row.torch_value] if row.torch_call is None else [row.torch_value, *torch.calls[row.torch_call].inputs]


def _ancestors(torch: Trace, ends: Sequence[int]) -> list[int]:
    """Every value that the ends are made from, the nearest first."""
    calls = {index for end in ends for index in torch.between((), end)}
    values = {value for index in calls for value in (*torch.calls[index].inputs, *torch.calls[index].outputs)}
    return sorted(values | set(ends), reverse=True)


@dataclass
class _Twins:
    """Finds PyTorch's value that is equal to one of Keras's."""

    site: Site
    keras: Trace
    known: dict[int, int]
    candidates: list[int]

    def twin(self, value: int) -> int | None:
        if value in self.known:
            return self.known[value]
        found = self.keras.values[value]
        for candidate in self.candidates:
            expected = self.site.torch.values[candidate]
            if expected.size != found.size:
                continue
            allowed = self.site.allowed(expected, self.site.torch.noise.get(candidate))
            near = closest(expected, found, allowed)
            if near is not None and near[1].largest <= allowed:
                self.known[value] = candidate
                return candidate
        return None
