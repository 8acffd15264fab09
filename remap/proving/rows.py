"""The two traces held together: which call of a module belongs to which call of a layer, and how far apart they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain

from remap.planning.plan import Assignment
from remap.proving.difference import Difference, Tolerance, largest_of
from remap.proving.forms import closest
from remap.proving.order import in_order
from remap.sides.operation import Operation
from remap.sides.trace import Trace


class Outcome(StrEnum):
    """What came of a comparison."""

    EQUAL = "equal"
    DIFFERS = "differs"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class Pair:
    """A Keras layer and the PyTorch modules that it was made from.

    Args:
        layer: Path of the layer.
        class_name: Its class.
        modules: Paths of the modules.
        assignments: What was written into the layer.
        parts: Whether its modules became other layers too.
        inside: Whether a module holds others, one of which may give the layer's output.
        loose: Whether it holds others that this layer is not made from: that none gives the output is no finding.
    """

    layer: str
    class_name: str
    modules: tuple[str, ...]
    assignments: tuple[Assignment, ...]
    parts: bool = False
    inside: bool = False
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a layer's output, or an output of the network.

    Args:
        layer: Path of the Keras layer; for an output of the network its name.
        module: Path of the PyTorch module whose output it is held against.
        kind: Class of the Keras layer, ``output`` for an output of the network.
        outcome: What came of it.
        difference: How far they are apart; None where shapes differ or nothing was compared.
        tolerance: How far they may be.
        noise: PyTorch's own rounding error there, where it was measured.
        shapes: Of both sides, PyTorch's first.
        reason: Why it was not compared, or that shapes differ.
        torch_value: Position of the output in PyTorch's trace.
        keras_value: Position in Keras's.
        torch_call: Position of the last module's call, None for an output.
        keras_call: Position of the layer's call.
        first_call: Position of the first module's call, where several became one layer.
        pair: What it belongs to; None for an output.
        alone: What comes of it on PyTorch's own values of everything before it; None where that was not tried.
        named: Whether ``layer`` is a name that a network gives; an output may have none but its number.
        accounted: Whether an output that nothing is held against need not be, as ``reason`` says.
    """

    layer: str
    module: str
    kind: str
    outcome: Outcome
    difference: Difference | None = None
    tolerance: float = 0.0
    noise: float | None = None
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    reason: str = ""
    torch_value: int = -1
    keras_value: int = -1
    torch_call: int | None = None
    keras_call: int | None = None
    first_call: int | None = None
    pair: Pair | None = None
    alone: Outcome | None = None
    named: bool = True
    accounted: bool = False


def compare_layers(pairs: list[Pair], torch: Trace, keras: Trace, tolerance: Tolerance) -> list[Row]:
    """One row for each call of each pair, in the order in which PyTorch ended them."""
    ended_at: list[tuple[int, Row]] = []
    paired = {pair.layer for pair in pairs}
    for pair in pairs:
        ended_at += _rows_of(pair, torch, keras, tolerance, paired)
    ended = [*((end, -begun) for begun, end in enumerate(torch.ends)), (len(torch.calls), 0)]
    rows = [row for _, row in sorted(ended_at, key=lambda entry: ended[entry[0]])]
    return [_inner_of_chain(row, rows) for row in rows]


def _inner_of_chain(row: Row, rows: Sequence[Row]) -> Row:
    """A layer inside of a chain that is one module in PyTorch, as of a deep LSTM: only its last layer is compared."""
    if row.pair is None or not row.pair.parts or row.outcome != Outcome.DIFFERS or row.keras_call is None:
        return row
    last = max(other.keras_call or 0 for other in rows if other.torch_call == row.torch_call)
    if row.keras_call == last or row.shapes[0][-1:] != row.shapes[1][-1:]:
        return row
    return replace(row, outcome=Outcome.NOT_COMPARED, reason=f"a layer inside of {row.module}, which is one in PyTorch")


def _rows_of(pair: Pair, torch: Trace, keras: Trace, tolerance: Tolerance, paired: set[str]) -> list[tuple[int, Row]]:
    module_calls = [torch.by_name.get(module, []) for module in pair.modules]
    layer_calls = keras.by_name.get(pair.layer, [])
    reason = _why_not(pair, module_calls, layer_calls, torch, keras)
    if reason:
        at = min((calls[0] for calls in module_calls if calls), default=len(torch.calls))
        return [
            (
                at,
                Row(
                    pair.layer, ", ".join(pair.modules), pair.class_name, Outcome.NOT_COMPARED, reason=reason, pair=pair
                ),
            )
        ]
    rows = []
    for turn, keras_call in enumerate(layer_calls):
        own = sorted(calls[turn] for calls in module_calls)
        keras_call = _with_cropping(keras_call, torch.calls[own[-1]].outputs, torch, keras)
        row = compare_call(pair, own[0], own[-1], keras_call, torch, keras, tolerance)
        if row.outcome == Outcome.DIFFERS:
            others = chain(
                _with_what_follows(row, torch, keras, tolerance, paired),
                (compare_call(pair, call, call, keras_call, torch, keras, tolerance) for call in own[:-1]),
            )
            row = next((other for other in others if other.outcome == Outcome.EQUAL), row)
        rows.append((own[-1], row))
    return rows


def _with_what_follows(row: Row, torch: Trace, keras: Trace, tolerance: Tolerance, paired: set[str]) -> Iterator[Row]:
    """The row with a call right after its layer, as of a scale, or around it: it may do what one module does."""
    assert row.pair is not None and row.first_call is not None and row.torch_call is not None
    assert row.keras_call is not None
    for index in (*_after(row.keras_call, row.keras_value, keras), *_around(row.keras_call, keras)):
        call = keras.calls[index]
        if call.outputs and call.name not in paired:
            yield compare_call(row.pair, row.first_call, row.torch_call, index, torch, keras, tolerance)


def _with_cropping(keras_call: int, outputs: Sequence[int], torch: Trace, keras: Trace) -> int:
    """The call of the cropping right after a layer, where the layer's own output has not PyTorch's shape."""
    value = keras.calls[keras_call].outputs[0]
    if not outputs or closest(torch.values[outputs[0]], keras.values[value]) is not None:
        return keras_call
    after = _after(keras_call, value, keras)
    return next((index for index in after if keras.calls[index].operation is Operation.CROPPING), keras_call)


def _after(call: int, value: int, keras: Trace) -> list[int]:
    """The calls that take a value after a call."""
    return [index for index in keras.takers.get(value, ()) if index > call]


def _around(call: int, keras: Trace) -> Iterator[int]:
    """The calls that a call is part of, the innermost first."""
    parent = keras.calls[call].parent
    while parent is not None:
        yield parent
        parent = keras.calls[parent].parent


def _why_not(pair: Pair, modules: list[list[int]], layer: list[int], torch: Trace, keras: Trace) -> str:
    if pair.layer in keras.untraced or not layer:
        return keras.untraced.get(pair.layer, "the Keras model does not call it")
    for path, calls in zip(pair.modules, modules, strict=True):
        if not calls:
            return (
                torch.untraced.get(path)
                or torch.untraced.get("")
                or (f"PyTorch does not call {path or 'it'}: its weights are used by another module or function")
            )
        if len(calls) != len(layer):
            return f"PyTorch calls {path} {len(calls)} times, Keras {len(layer)} times"
    if not keras.calls[layer[0]].outputs:
        return "its output has no value outside of a compiled loop"
    return ""


def compare_call(
    pair: Pair, first: int, last: int, keras_call: int, torch: Trace, keras: Trace, tolerance: Tolerance
) -> Row:
    """One call of a layer against what PyTorch's modules gave.

    Args:
        pair: The layer and its modules.
        first: Position of the first module's call.
        last: Position of the last module's call.
        keras_call: Position of the layer's call.
        torch: PyTorch's trace.
        keras: Keras's.
        tolerance: How far the two may be apart.
    """
    outputs = [*torch.calls[last].outputs, *(_inner(torch, last) if pair.inside else ())]
    keras_value = keras.calls[keras_call].outputs[0]
    module = torch.calls[last].name
    if not outputs:
        return Row(
            pair.layer, module, pair.class_name, Outcome.NOT_COMPARED, reason="PyTorch gives no tensor", pair=pair
        )
    choices = [
        compare_values(torch, value, keras, keras_value, torch.depths[last], tolerance, pair.parts, added=True)
        for value in outputs
    ]
    best = min(range(len(choices)), key=lambda index: _rank(choices[index]))
    nearest = choices[best]
    if nearest.outcome == Outcome.DIFFERS and nearest.difference is not None:
        nearest = _reordered(pair, nearest, torch, keras)
    outcome, reason = nearest.outcome, nearest.reason
    if nearest.difference is None and pair.parts:
        outcome, reason = (
            Outcome.NOT_COMPARED,
            "one module became several layers, and none of its outputs has this shape",
        )
    if pair.loose and outcome == Outcome.DIFFERS:
        outcome, reason = (
            Outcome.NOT_COMPARED,
            f"{module or 'the network'} holds other modules too: none of its values is this",
        )
    return Row(
        pair.layer,
        module,
        pair.class_name,
        outcome,
        nearest.difference,
        nearest.tolerance,
        nearest.noise,
        nearest.shapes,
        reason,
        outputs[best],
        keras_value,
        last,
        keras_call,
        first,
        pair,
    )


def _reordered(pair: Pair, row: Row, torch: Trace, keras: Trace) -> Row:
    """The same comparison with the outputs in the order that the rule gives them, where that is not PyTorch's."""
    expected = in_order(pair.assignments, torch.values[row.torch_value])
    best = closest(expected, keras.values[row.keras_value], row.tolerance) if expected is not None else None
    if best is None or row.difference is None or best[1].largest >= row.difference.largest:
        return row
    return replace(
        row, difference=best[1], outcome=Outcome.EQUAL if best[1].largest <= row.tolerance else Outcome.DIFFERS
    )


def _inner(torch: Trace, call: int) -> list[int]:
    """What the calls directly inside of a call give, the last first."""
    return [value for index in reversed(torch.inside.get(call, [])) for value in torch.calls[index].outputs]


def _rank(row: Row) -> float:
    return row.difference.largest if row.difference is not None else float("inf")


def compare_values(
    torch: Trace,
    torch_value: int,
    keras: Trace,
    keras_value: int,
    depth: int,
    tolerance: Tolerance,
    parts: bool = False,
    added: bool = False,
) -> Row:
    """Two values, wherever they come from, as :func:`remap.proving.forms.closest` holds them."""
    expected, ours = torch.values[torch_value], keras.values[keras_value]
    noise = torch.noise.get(torch_value)
    allowed = tolerance.of(largest_of(expected), depth, noise)
    shapes = (expected.shape, ours.shape)
    best = closest(expected, ours, allowed, parts, added)
    if best is None:
        return Row("", "", "", Outcome.DIFFERS, None, allowed, noise, shapes, "shapes differ", torch_value, keras_value)
    outcome: Outcome = Outcome.EQUAL if best[1].largest <= allowed else Outcome.DIFFERS
    return Row("", "", "", outcome, best[1], allowed, noise, shapes, "", torch_value, keras_value)
