"""The way back from a row that differs to the last values that agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from remap.planning.plan import Plan
from remap.proving.difference import Tolerance
from remap.proving.forms import closest, sample_added
from remap.proving.limits import LONGEST, NEAR
from remap.proving.products import product
from remap.proving.rows import Row
from remap.proving.site import Site
from remap.proving.step import step_of
from remap.sides.keras.side import KerasSide
from remap.sides.trace import Call, Trace


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
    site = Site(row, [], [], torch, side, plan, tolerance)
    ends = _torch_ends(row, torch)
    starts = _walk_back(site, _Twins(site, side.trace, dict(known), _ancestors(torch, ends)))
    if site.unseen is not None:
        starts |= set(known.values())
    events = torch.between(starts, ends)
    if row.torch_call is not None and row.torch_call not in events:
        events.append(row.torch_call)
    if not events and row.torch_value in torch.producers:
        events = [torch.producers[row.torch_value]]
    site.events = [step_of(torch, torch.calls[index], None) for index in events if torch.calls[index].outputs]
    return site


def _walk_back(site: Site, near: _Twins) -> set[int]:
    """Put Keras's calls into the site, the last first; PyTorch's values that agree with what goes into them."""
    keras, row = site.side.trace, site.row
    value, starts = row.keras_value, set[int]()
    while len(site.steps) < LONGEST:
        made_by = keras.producers.get(value) if site.steps or row.keras_call is None else row.keras_call
        made_by = _caster(keras, value) if made_by is None else made_by
        call, layer = _made_by(site.side, made_by, value)
        if call is None:
            site.unseen = keras.values[value]
            break
        numbers = [i for i in call.inputs if keras.values[i].dtype.kind in "fiu"]
        twins = {i: near.twin(i) for i in numbers}
        starts |= {twin for twin in twins.values() if twin is not None}
        apart = [i for i, twin in twins.items() if twin is None]
        theirs = {i: array for i in apart[1:] if (array := near.nearest(i)) is not None}
        site.steps.insert(0, step_of(keras, call, layer, theirs, apart[0] if apart else None))
        site.branches += [site.steps[0].name] if theirs else []
        if not apart:
            break
        value = apart[0]
    return starts


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
        ours = self.keras.values[value]
        for candidate, expected in self._of_size(ours):
            allowed = self.site.allowed(expected, self.site.torch.noise.get(candidate))
            near = closest(expected, ours, allowed)
            if near is not None and near[1].largest <= allowed:
                self.known[value] = candidate
                return candidate
        return None

    def nearest(self, value: int) -> np.ndarray | None:
        """PyTorch's value that is nearest to one of Keras's, in Keras's layout; None where none is near."""
        ours = self.keras.values[value]
        near = [made for _, array in self._of_size(ours) if (made := closest(array, ours)) is not None]
        best = min(near, key=lambda made: made[1].relative, default=None)
        return best[0].astype(ours.dtype) if best is not None and best[1].relative < NEAR else None

    def _of_size(self, ours: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """The candidates that hold as many numbers as one of Keras's values, or a sample less."""
        for candidate in self.candidates:
            array = self.site.torch.values[candidate]
            if array.size == ours.size or sample_added(array, ours):
                yield candidate, array
