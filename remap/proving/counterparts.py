"""PyTorch's outputs that Keras does not give: which of them need no counterpart, and why."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from remap.planning.plan import Ignored
from remap.proving.difference import Tolerance
from remap.proving.rows import Outcome, Row, compare_values
from remap.sides.operation import Operation
from remap.sides.reference import Reference
from remap.sides.trace import Trace

COMPUTED = ("num_batches_tracked", "inv_freq", "position_ids")
"""Tensors that no rule need write."""
NO_LAYER = "no layer of the Keras model is made from"


def accounted(
    outputs: Sequence[Row],
    rows: Sequence[Row],
    reference: Reference,
    keras: Trace,
    ignored: Iterable[Ignored],
    tolerance: Tolerance,
) -> list[Row]:
    """The rows of outputs, with what is known of PyTorch's that Keras does not give.

    One that a layer gives inside of the Keras model is held against that layer. One that another is made from, which is
    equal, need not have a counterpart: the Keras model has it on its way, in one form or another. One that comes out of
    a module that no layer is made from, as a head whose tensors the rules leave behind or that is tied to an embedding,
    need not either; nor a part of an equal output, nor what a head makes of it whose weights an embedding holds.
    """
    known = {row.torch_value for row in (*rows, *outputs) if row.outcome == Outcome.EQUAL}
    ends = {row.torch_value: row.layer for row in outputs if row.outcome == Outcome.EQUAL}
    left = {entry.name: entry for entry in ignored}
    made_from = {path for row in rows if row.pair is not None for path in row.pair.modules}
    reversible = {path for path in made_from if _is_linear(reference, path) and path not in _compared_modules(rows)}
    return [
        _made_of(_accounted(row, known, reference, keras, left, made_from, tolerance), ends, reversible, reference)
        if row.outcome == Outcome.NOT_COMPARED and row.torch_value >= 0
        else row
        for row in outputs
    ]


def _is_linear(reference: Reference, path: str) -> bool:
    return path in reference.modules and reference.modules[path].operation is Operation.LINEAR


def _compared_modules(rows: Iterable[Row]) -> set[str]:
    """Modules whose own output a layer's is held against: not a head whose weights an embedding holds."""
    return {row.module for row in rows}


def _made_of(row: Row, ends: Mapping[int, str], reversible: Container[str], reference: Reference) -> Row:
    """The row of an output that is a part of an equal one, or what a head makes of it whose weights an embedding holds.

    Keras uses such an embedding the other way round in its task, which the Keras model at hand ends before.
    """
    if row.outcome != Outcome.NOT_COMPARED or row.accounted or row.torch_value < 0:
        return row
    torch = reference.trace
    between = torch.between(ends, [row.torch_value])
    of = next((value for index in between for value in torch.calls[index].inputs if value in ends), None)
    weighted = {path for index in between if (path := _module(torch, index)) and _has_weights(reference, path)}
    by_head = bool(weighted) and all(path in reversible for path in weighted)
    if of is None or not (by_head or _is_part(torch.values[row.torch_value], torch.values[of])):
        return row
    return replace(row, reason=f"PyTorch makes it of {ends[of]}, where the Keras model ends", accounted=True)


def _has_weights(reference: Reference, path: str) -> bool:
    return path in reference.modules and bool(reference.modules[path].tensors)


def _is_part(part: np.ndarray, whole: np.ndarray) -> bool:
    """Whether an array is, sample by sample, one place of another's second axis: a class token, the end of a text."""
    if whole.ndim != part.ndim + 1 or whole.ndim < 2 or whole[:, 0].shape != part.shape:
        return False
    alike = (whole == np.expand_dims(part, 1)).reshape(*whole.shape[:2], -1)
    return bool(alike.all(axis=-1).any(axis=1).all())


def _accounted(
    row: Row,
    known: set[int],
    reference: Reference,
    keras: Trace,
    left: Mapping[str, Ignored],
    made_from: set[str],
    tolerance: Tolerance,
) -> Row:
    torch, expected = reference.trace, reference.trace.values[row.torch_value]
    for index, call in enumerate(keras.calls) if np.ptp(expected) else ():
        for value in call.outputs if keras.calls[index].name else ():
            if keras.values[value].size != expected.size:
                continue
            near = compare_values(torch, row.torch_value, keras, value, torch.depths[-1], tolerance)
            if near.outcome == Outcome.EQUAL:
                reason = f"as {call.name} gives it inside of the Keras model"
                return replace(near, layer=row.layer, module=row.module, kind="output", named=row.named, reason=reason)
    ends = [value for _, value in torch.outputs if value in known]
    if any(row.torch_value in torch.calls[index].inputs for index in torch.between((), ends)):
        return replace(row, reason="what PyTorch makes from it is equal", accounted=True)
    for index in torch.between(known, [row.torch_value]):
        path = _module(torch, index)
        head = f"{path}." if path else ""
        tensors = reference.modules[path].tensors if path and path in reference.modules else ()
        if not tensors or path in made_from or all(name.endswith(COMPUTED) for name in tensors):
            continue
        entry = left.get(head + tensors[0])
        why = f"the rules leave behind ({entry.place.path.name}:{entry.place.line})" if entry else NO_LAYER
        return replace(row, reason=f"it comes out of {path}, which {why}", accounted=True)
    return row


def _module(torch: Trace, index: int | None) -> str:
    """Path of the module that a call is, or is part of."""
    while index is not None and not torch.calls[index].name:
        index = torch.calls[index].parent
    return torch.calls[index].name if index is not None else ""
