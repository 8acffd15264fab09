"""The outputs of both networks, matched by name, by order or by what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from remap.proving.difference import Tolerance
from remap.proving.rows import Outcome, Row, compare_values
from remap.sides.trace import Trace

Output = tuple[str, int]
"""Name of an output, empty where it has none, and its position in a trace."""


def compare_outputs(torch: Trace, keras: Trace, tolerance: Tolerance) -> list[Row]:
    """One row for each output; one that the other side lacks is not compared, and says so.

    Outputs are matched by name where both sides share the names; by what they hold where both sides name them
    otherwise; by order else. A Keras model that ends inside of the PyTorch one, before its head, is held against
    the module whose output it gives.
    """
    rows: list[Row] = []
    for (torch_name, torch_value), (keras_name, keras_value) in _matched(torch, keras, tolerance):
        row = _compared(torch, torch_value, keras, keras_value, tolerance)
        name = keras_name or torch_name
        title = name or f"output {len(rows)}"
        rows.append(replace(row, layer=title, module=torch_name or title, kind="output", named=bool(name)))
    left = {"PyTorch": torch.outputs, "Keras": keras.outputs}
    used = {"PyTorch": {row.torch_value for row in rows}, "Keras": {row.keras_value for row in rows}}
    for side, outputs in left.items():
        for index, (name, value) in enumerate(outputs):
            if value not in used[side]:
                title, reason = name or f"output {index}", f"only {side} gives it"
                rows.append(Row(title, title, "output", Outcome.NOT_COMPARED, reason=reason, named=bool(name)))
    return rows


def _compared(torch: Trace, torch_value: int, keras: Trace, keras_value: int, tolerance: Tolerance) -> Row:
    return compare_values(torch, torch_value, keras, keras_value, torch.depths[-1], tolerance)


def _matched(torch: Trace, keras: Trace, tolerance: Tolerance) -> list[tuple[Output, Output]]:
    by_name = {name: (name, value) for name, value in torch.outputs if name}
    if keras.outputs and all(name in by_name for name, _ in keras.outputs):
        return [(by_name[name], (name, value)) for name, value in keras.outputs]
    if all(name for name, _ in (*torch.outputs, *keras.outputs)):
        matched = _nearest(torch, keras, tolerance)
    else:
        matched = list(zip(torch.outputs, keras.outputs, strict=False))
    pairs = []
    for theirs, ours in matched:
        near = _compared(torch, theirs[1], keras, ours[1], tolerance).difference
        pairs.append((theirs if near is not None else next(_inside(torch, keras, ours, tolerance), theirs), ours))
    return pairs


def _nearest(torch: Trace, keras: Trace, tolerance: Tolerance) -> list[tuple[Output, Output]]:
    """Each Keras output with the PyTorch output that it is nearest to, the nearest pair first; none twice."""
    left = list(torch.outputs)
    distances = {
        (theirs, ours): row.difference.relative if row.difference is not None else float("inf")
        for theirs in torch.outputs
        for ours in keras.outputs
        for row in [_compared(torch, theirs[1], keras, ours[1], tolerance)]
    }
    chosen: dict[Output, Output] = {}
    for theirs, ours in sorted(distances, key=lambda pair: distances[pair]):
        if ours not in chosen and theirs in left:
            chosen[ours] = theirs
            left.remove(theirs)
    return [(chosen[ours], ours) for ours in keras.outputs if ours in chosen]


def _inside(torch: Trace, keras: Trace, ours: Output, tolerance: Tolerance) -> Iterator[Output]:
    """The modules, outermost first, that give a Keras output."""
    for call in torch.calls:
        for value in call.outputs if call.name else ():
            if _compared(torch, value, keras, ours[1], tolerance).outcome == Outcome.EQUAL:
                yield call.name, value
