"""The outputs of both networks, matched by name or by order."""

from __future__ import annotations

from dataclasses import replace

from remap.verifying.difference import Tolerance
from remap.verifying.rows import Row, compare_values, last_depth
from remap.verifying.trace import Trace


def compare_outputs(torch: Trace, keras: Trace, tolerance: Tolerance) -> list[Row]:
    """One row for each output; one that the other side lacks is not compared, and says so.

    Outputs are matched by name where both sides name them, and by order where there are as many.
    """
    depth = last_depth(torch, len(torch.calls))
    rows: list[Row] = []
    for (torch_name, torch_value), (keras_name, keras_value) in _matched(torch.outputs, keras.outputs):
        found = compare_values(torch, torch_value, keras, keras_value, depth, tolerance)
        name = keras_name or torch_name or f"output {len(rows)}"
        rows.append(replace(found, layer=name, module=torch_name or name, kind="output"))
    left = {"PyTorch": torch.outputs, "Keras": keras.outputs}
    used = {"PyTorch": {row.torch_value for row in rows}, "Keras": {row.keras_value for row in rows}}
    for side, outputs in left.items():
        for index, (name, value) in enumerate(outputs):
            if value not in used[side]:
                title = name or f"output {index}"
                rows.append(Row(title, title, "output", "not compared", reason=f"only {side} gives it"))
    return rows


def _matched(
    torch: list[tuple[str, int]], keras: list[tuple[str, int]]
) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    by_name = {name: (name, value) for name, value in torch if name}
    if keras and all(name in by_name for name, _ in keras):
        return [(by_name[name], (name, value)) for name, value in keras]
    return list(zip(torch, keras, strict=False))
