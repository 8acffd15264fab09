"""The place where two networks part: the last values that agree, and what both sides do from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from remap.planning.plan import Plan
from remap.proving.difference import Difference, Tolerance, largest_of
from remap.proving.forms import closest, sample_added
from remap.proving.products import product
from remap.proving.rows import Row
from remap.sides.keras.rerun import rerun
from remap.sides.keras.side import ACTIVATION, KerasSide
from remap.sides.trace import Call, Trace

NEAR = 0.1
"""A value that is no further off than this, relative to the largest, is taken for the same one made less well."""
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
        place: Which of the inputs the step before made.
    """

    call: Call
    layer: Any
    inputs: tuple[np.ndarray, ...]
    output: np.ndarray
    noise: float | None = None
    place: int = 0

    @property
    def kind(self) -> str:
        """What it computes: for PyTorch the function, for Keras the class."""
        return str(self.call.told.get("kind", self.call.kind))

    @property
    def settings(self) -> dict[str, Any]:
        """What it is set to, in the words of its framework."""
        return self.call.told

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
        branches: Layers that take several values which differ: all but one are taken as PyTorch has them.
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
    branches: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)

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
            found.insert(0, _step(keras, keras.calls[made_by], self.side.layer_of.get(made_by)))

    @property
    def lowered(self) -> str:
        """What computes here in single precision although all is asked to be in double; empty where nothing does."""
        if not self.tolerance.float64:
            return ""
        torch = [(event.call, event.output) for event in self.events]
        for side, calls in (("Keras", self._beside_row()), ("PyTorch", torch)):
            for call, output in calls:
                if output.dtype.kind == "f" and output.dtype.itemsize < 8:
                    return f"{side} computes {call.title} in {output.dtype.name}"
        return ""

    def _beside_row(self) -> list[tuple[Call, np.ndarray]]:
        """The calls of the site, and those inside of the layer that the row's is part of."""
        keras = self.side.trace
        found = [(step.call, step.output) for step in self.steps]
        if self.unseen is not None and self.row.keras_call is not None:
            parent = keras.calls[self.row.keras_call].parent
            inside = [call for call in keras.calls if call.parent == parent and parent is not None and call.outputs]
            found += [(call, keras.values[call.outputs[0]]) for call in inside]
        return found

    @property
    def blamed(self) -> int:
        """Position of the step that is suspected first: the first that is no padding."""
        for position, step in enumerate(self.steps):
            if not step.call.kind.startswith("ZeroPadding"):
                return position
        return len(self.steps) - 1


def again(step: Step, value: np.ndarray) -> np.ndarray:
    """A step once more, on another value of what the step before made."""
    if step.call.name.endswith(ACTIVATION):
        return activated(step.layer, value)
    return rerun(step.layer, (*step.inputs[: step.place], value, *step.inputs[step.place + 1 :]))


def activated(function: Any, value: np.ndarray) -> np.ndarray:
    """A Keras activation function on an array."""
    from remap.sides.framework import import_keras
    from remap.tensors.to_numpy import to_numpy

    return np.asarray(to_numpy(function(import_keras().ops.convert_to_tensor(value))))


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
    value, starts, steps = row.keras_value, set[int](), list[Step]()
    while len(steps) < LONGEST:
        made_by = keras.producers.get(value) if steps or row.keras_call is None else row.keras_call
        made_by = _caster(keras, value) if made_by is None else made_by
        call, layer = _made_by(side, made_by, value)
        if call is None:
            site.unseen = keras.values[value]
            break
        floats = [i for i in call.inputs if keras.values[i].dtype.kind in "fiu"]
        twins = {i: near.twin(i) for i in floats}
        starts |= {twin for twin in twins.values() if twin is not None}
        apart = [i for i, twin in twins.items() if twin is None]
        theirs = {i: array for i in apart[1:] if (array := near.nearest(i)) is not None}
        steps.insert(0, _step(keras, call, layer, theirs, apart[0] if apart else None))
        site.branches += [steps[0].name] if theirs else []
        if not apart:
            break
        value = apart[0]
    if site.unseen is not None:
        starts |= set(known.values())
    site.steps = steps
    events = torch.between(starts, ends)
    if row.torch_call is not None and row.torch_call not in events:
        events.append(row.torch_call)
    if not events and row.torch_value in torch.producers:
        events = [torch.producers[row.torch_value]]
    site.events = [_step(torch, torch.calls[index], None) for index in events if torch.calls[index].outputs]
    return site


def _made_by(side: KerasSide, index: int | None, value: int) -> tuple[Call | None, Any]:
    """A call and its layer; where there is none, the multiplication that made a value, and what multiplies."""
    from remap.sides.framework import import_keras

    if index is not None:
        return side.trace.calls[index], side.layer_of.get(index)
    call = product(side.trace, value)
    return call, import_keras().ops.multiply if call is not None else None


def _caster(keras: Trace, value: int) -> int | None:
    """The call that made a value in another precision: a layer casts its inputs to its own."""
    cast = keras.values[value]
    for other, made_by in keras.producers.items():
        array = keras.values[other]
        if array.dtype.kind == cast.dtype.kind == "f" and array.dtype != cast.dtype and np.array_equal(array, cast):
            return made_by
    return None


def _step(
    trace: Trace, call: Call, layer: Any, instead: Mapping[int, np.ndarray] | None = None, chain: int | None = None
) -> Step:
    """A call with its arrays, some inputs as others have them; ``chain`` is the one that the step before made."""
    instead = instead or {}
    value = call.outputs[0]
    inputs = tuple(instead.get(i, trace.values[i]) for i in call.inputs)
    place = call.inputs.index(chain) if chain in call.inputs else 0
    return Step(call, layer, inputs, trace.values[value], trace.noise.get(value), place)


def _torch_ends(row: Row, torch: Trace) -> list[int]:
    return [row.torch_value] if row.torch_call is None else [row.torch_value, *torch.calls[row.torch_call].inputs]


def _ancestors(torch: Trace, ends: Sequence[int]) -> list[int]:
    """Every value that the ends are made from, the nearest first."""
    calls = [torch.calls[index] for index in torch.between((), ends)]
    values = {value for call in calls for value in (*call.inputs, *call.outputs)}
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
        for candidate, expected in self._of_size(found):
            allowed = self.site.allowed(expected, self.site.torch.noise.get(candidate))
            near = closest(expected, found, allowed)
            if near is not None and near[1].largest <= allowed:
                self.known[value] = candidate
                return candidate
        return None

    def nearest(self, value: int) -> np.ndarray | None:
        """PyTorch's value that is nearest to one of Keras's, in Keras's layout; None where none is near."""
        found = self.keras.values[value]
        near = [made for _, array in self._of_size(found) if (made := closest(array, found)) is not None]
        best = min(near, key=lambda made: made[1].relative, default=None)
        return best[0].astype(found.dtype) if best is not None and best[1].relative < NEAR else None

    def _of_size(self, found: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """The candidates that hold as many numbers as one of Keras's values, or a sample less."""
        for candidate in self.candidates:
            array = self.site.torch.values[candidate]
            if array.size == found.size or sample_added(array, found):
                yield candidate, array
