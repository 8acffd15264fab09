"""All places where the two networks part: the first, and those that part by themselves after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from remap.errors import TargetError
from remap.planning.plan import Plan
from remap.proving.alone import Alone, CallKey, run_alone
from remap.proving.causes import layers_beside, layers_exchanged, parts_exchanged, tensors_exchanged
from remap.proving.difference import Tolerance
from remap.proving.disagreement import Disagreement
from remap.proving.explain import Networks, explain
from remap.proving.finding import Finding
from remap.proving.limits import CLOSELY, JUST, MOST_ROUNDS, NEIGHBOURS
from remap.proving.rows import Outcome, Row
from remap.sides.keras.side import KerasSide
from remap.sides.reference import Reference
from remap.sides.trace import Trace

EXCHANGED = {module.CAUSE.code for module in (layers_exchanged, tensors_exchanged, layers_beside, parts_exchanged)}
"""Causes by which weights stand in other places: what comes behind them is judged with what they leave over."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Args:
        first: Where the two part first; None where they do not.
        further: Layers after it that differ on PyTorch's own inputs too, each with its cause.
        rows: The rows, each with what came of it by itself where that was tried.
        note: Why it was not tried; empty where it was, or where nothing parts.
    """

    first: Finding | None
    further: tuple[Finding, ...]
    rows: list[Row]
    note: str = ""


def find(
    rows: Sequence[Row],
    outputs: Sequence[Row],
    reference: Reference,
    side: KerasSide,
    plan: Plan,
    tolerance: Tolerance,
    audit: Sequence[Disagreement],
    spec: str,
) -> Findings:
    """Explain the first divergence, then run the Keras model on PyTorch's values and explain what is left.

    Args:
        rows: All rows.
        outputs: Those of the outputs.
        reference: The PyTorch side.
        side: The Keras side.
        plan: The plan.
        tolerance: How far values may be apart.
        audit: Settings that disagree.
        spec: How messages call the Keras model.
    """
    known = {row.keras_value: row.torch_value for row in rows if row.outcome == Outcome.EQUAL}
    wrong = not outputs or any(row.outcome == Outcome.DIFFERS for row in outputs)
    both = Networks(reference.trace, side, plan, tolerance, audit, reference.feeds)
    outlived = _outlived(rows, reference.trace)
    passed_over = {id(row) for row in rows if row.outcome == Outcome.DIFFERS and row.torch_value in outlived}
    for row in (*rows, *outputs):
        signs = wrong + (id(row) not in passed_over)  # one alone, or a proof alone, does not make it a divergence
        if row.outcome != Outcome.DIFFERS or not signs:
            continue
        first = _explained(row, known, both)
        if signs + first.proved >= 2:
            break
    else:
        return Findings(
            None, (), [_without_counterpart(row) if row.outcome == Outcome.DIFFERS else row for row in rows]
        )
    if not first.proved:
        for suspect in _nearly(rows, row):
            others = {keras: torch for keras, torch in known.items() if keras != suspect.keras_value}
            earlier = _explained(suspect, others, both)
            if earlier.proved:
                row, first = replace(suspect, outcome=Outcome.DIFFERS), earlier
                rows = [row if entry is suspect else entry for entry in rows]
                break
    held = {key: entry for key, entry in _keyed(rows, side.trace) if id(entry) not in passed_over}
    own = next((key for key, entry in held.items() if entry is row), ("", 0))
    crossed, named = _learnt({}, first), list[tuple[Row, Finding]]()
    try:
        for _ in range(MOST_ROUNDS):
            aimed = {key: _aimed(key, entry, crossed, reference.trace) for key, entry in held.items()}
            alone = run_alone(aimed.items(), reference.trace, side, reference.feeds, spec, tolerance)
            left = [entry for key, entry in alone.rows.items() if key != own or first.crossing is not None]
            left += [] if row in outputs else alone.outputs
            learnt, named = _named(left, alone, crossed, both)
            if learnt == crossed:
                break
            crossed = learnt
    except TargetError as error:
        note = f"layers after the first divergence were not tried by themselves: {error.problems[0].found}"
        return Findings(first, (), list(rows), note)
    findings = {(first.layer, first.cause): first}
    for _, more in sorted(named, key=lambda entry: (entry[0].torch_call is None, entry[0].torch_call)):
        findings.setdefault((more.layer, more.cause), more)
    note = ""
    if first.code in EXCHANGED and not all(more.proved for more in findings.values()):
        findings = {key: more for key, more in findings.items() if more.proved}
        note = "what else differs behind exchanged weights is not listed: mend the exchange and verify again"
    judged = {id(held[key]): entry.outcome for key, entry in alone.rows.items()}
    return Findings(first, tuple(findings.values())[1:], [replace(r, alone=judged.get(id(r))) for r in rows], note)


def _named(
    rows: Sequence[Row], alone: Alone, crossed: Mapping[str, str], both: Networks
) -> tuple[Mapping[str, str], list[tuple[Row, Finding]]]:
    """Why rows differ by themselves, and which module each exchanged layer computes.

    Behind a layer that is found out to compute another module than the one it was held against, all went on with wrong
    values: the rows after it are left for the next run.
    """
    named = []
    for row in sorted(rows, key=lambda row: (row.keras_call is None, row.keras_call)):
        if row.outcome == Outcome.DIFFERS:
            named.append((row, _explained(row, alone.known, replace(both, side=alone.side, feeds=()))))
            learnt = _learnt(crossed, named[-1][1])
            if learnt != crossed:
                return learnt, named
    return crossed, named


def _learnt(crossed: Mapping[str, str], finding: Finding) -> Mapping[str, str]:
    """Which module each exchanged layer computes, with what a finding says of it.

    The layer that has that module's weights is taken to compute the module whose weights were sent here, until a
    finding of its own knows better.
    """
    crossing = finding.crossing
    if crossing is None or crossed.get(crossing.layer) == crossing.computes:
        return crossed
    return {crossing.other: crossing.sent, **crossed, crossing.layer: crossing.computes}


def _aimed(key: CallKey, row: Row, crossed: Mapping[str, str], torch: Trace) -> Row:
    """A row, held against the module that its layer computes where rules give it the weights of another."""
    module = crossed.get(key[0])
    calls = torch.by_name.get(module, []) if module is not None else []
    if module is None or row.pair is None or key[1] >= len(calls):
        return row
    call, pair = calls[key[1]], replace(row.pair, modules=(module,))
    return replace(row, module=module, pair=pair, first_call=call, torch_call=call, outcome=Outcome.DIFFERS)


def _explained(row: Row, known: Mapping[int, int], both: Networks) -> Finding:
    """Why a row differs; in double precision a value before it that is equal may still be told from an exact one."""
    finding = explain(row, known, both)
    if finding.proved or not both.tolerance.float64:
        return finding
    closely = explain(row, known, replace(both, tolerance=replace(both.tolerance, share=CLOSELY)))
    return closely if closely.proved else finding


def _nearly(rows: Sequence[Row], stop: Row) -> list[Row]:
    """The rows right before ``stop`` that are equal only just, the last one first.

    A difference can lie below the tolerance where large numbers make PyTorch's own rounding error large, and show where
    a normalisation makes them small.
    """
    before = rows[: next((number for number, row in enumerate(rows) if row is stop), len(rows))]
    return [
        row
        for row in reversed(before[-NEIGHBOURS:])
        if row.outcome == Outcome.EQUAL
        and row.difference is not None
        and row.tolerance is not None
        and row.difference.largest > row.tolerance / JUST
    ]


def _keyed(rows: Sequence[Row], keras: Trace) -> Iterator[tuple[CallKey, Row]]:
    """The rows that were compared, by the name of the call and its turn."""
    for row in rows:
        if row.keras_call is not None and row.outcome != Outcome.NOT_COMPARED:
            name = keras.calls[row.keras_call].name
            yield (name, keras.by_name[name].index(row.keras_call)), row


def _without_counterpart(row: Row) -> Row:
    reason = "what is made from it is equal: the layer and PyTorch's module end at other places"
    return replace(row, outcome=Outcome.NOT_COMPARED, reason=reason)


def _outlived(rows: Sequence[Row], torch: Trace) -> set[int]:
    """PyTorch's values from which that of an equal row is made: what differs there is not their counterpart."""
    calls = set(torch.between((), (row.torch_value for row in rows if row.outcome == Outcome.EQUAL)))
    return {value for value, made_by in torch.producers.items() if made_by in calls}
