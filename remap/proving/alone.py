"""Every layer on PyTorch's own values: what a layer does by itself, whatever went wrong before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from remap.proving.difference import Tolerance
from remap.proving.forms import closest
from remap.proving.order import in_order
from remap.proving.outputs import compare_outputs
from remap.proving.rows import Outcome, Row, compare_call
from remap.sides.feed import Feed
from remap.sides.framework import import_keras
from remap.sides.keras.side import KerasSide, run_keras
from remap.sides.trace import Recorder, Trace

CallKey = tuple[str, int]
"""A layer's path, and how many of its calls came before."""


@dataclass
class Alone:
    """A run of the Keras model in which what differs, now or before, was replaced by PyTorch's value before it went on.

    Args:
        torch: PyTorch's trace.
        tolerance: How far values may be apart.
        held: What each call of a layer is held against.
        rows: What came of each.
        known: Values of the run that are equal to one of PyTorch, with its position.
        outputs: What came of the outputs.
        side: The Keras side of the run.
    """

    torch: Trace
    tolerance: Tolerance
    held: Mapping[CallKey, Row]
    side: KerasSide
    rows: dict[CallKey, Row] = field(default_factory=dict)
    known: dict[int, int] = field(default_factory=dict)
    outputs: list[Row] = field(default_factory=list)
    _turns: Counter[str] = field(default_factory=Counter)

    def replace(self, recorder: Recorder, index: int, output: Any) -> Any:
        """PyTorch's value in the place of a call's output, where the two differ or did so before."""
        name = recorder.trace.calls[index].name
        key = name, self._turns[name]
        self._turns[name] += 1
        held = self.held.get(key)
        if held is None or held.pair is None or held.torch_call is None or held.first_call is None:
            return output
        row = compare_call(
            held.pair, held.first_call, held.torch_call, index, self.torch, recorder.trace, self.tolerance
        )
        self.rows[key] = row
        if row.outcome == Outcome.EQUAL:
            self.known[row.keras_value] = row.torch_value
        differs = Outcome.DIFFERS in (row.outcome, held.outcome)
        array = _in_keras(row, self.torch, recorder.trace) if differs else None
        return output if array is None else self._put(recorder, row, array, output)

    def _put(self, recorder: Recorder, row: Row, array: np.ndarray, output: Any) -> Any:
        kind = recorder.trace.values[row.keras_value].dtype
        tensor = import_keras().ops.convert_to_tensor(np.ascontiguousarray(array, dtype=kind))
        position = recorder.note(tensor)
        if position is not None:
            self.known[position] = row.torch_value
        if isinstance(output, list | tuple):
            return type(output)([tensor, *output[1:]])
        return tensor


def run_alone(
    rows: Iterable[tuple[CallKey, Row]],
    torch: Trace,
    side: KerasSide,
    feeds: Sequence[Feed],
    spec: str,
    tolerance: Tolerance,
) -> Alone:
    """Run the Keras model again, each layer on what PyTorch has there.

    Args:
        rows: What the calls of layers are held against.
        torch: PyTorch's trace.
        side: The Keras side; its trace stays.
        feeds: The inputs.
        spec: How messages call the Keras model.
        tolerance: How far values may be apart.

    Raises:
        TargetError: The model fails, as it may where PyTorch's value has another shape.
    """
    alone = Alone(torch, tolerance, dict(rows), KerasSide(side.model, side.survey, side.title, left_out=side.left_out))
    run_keras(alone.side, feeds, spec, alone.replace)
    alone.outputs = compare_outputs(torch, alone.side.trace, tolerance)
    return alone


def _in_keras(row: Row, torch: Trace, keras: Trace) -> np.ndarray | None:
    """PyTorch's value of a row in Keras's layout; None where it cannot be told."""
    assert row.pair is not None
    expected, have = torch.values[row.torch_value], keras.values[row.keras_value]
    ordered = in_order(row.pair.assignments, expected)
    near = closest(expected if ordered is None else ordered, have, parts=row.pair.parts)
    if near is not None:
        return near[0]
    if expected.ndim != have.ndim:
        return None
    if expected.ndim >= 3 and expected.shape[1] == have.shape[-1]:
        return np.moveaxis(expected, 1, -1)
    return expected if expected.shape[-1] == have.shape[-1] else None
