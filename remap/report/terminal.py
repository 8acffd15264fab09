"""The report for people: tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

from remap.planning.plan import Plan
from remap.report.account import account, blind_lines, epsilon_lines, rows, settled
from remap.report.console import Grid, styled
from remap.report.pairs import module_pairs
from remap.report.sizes import human_bytes
from remap.report.skipped import print_skipped

if TYPE_CHECKING:
    from remap.api import Result
    from remap.writing.finite import NotFinite

ODD_SHOWN = 6
SKIPPED_SHOWN = 4


def print_plan(plan: Plan, out: Console, pairs: bool = False) -> None:
    """What will be done: the two sides, a row for each rule or (``pairs``) a line for each module, the account."""
    about = plan.rules.about
    checkpoint = plan.checkpoint
    out.print(styled("rules", "bold", f"       {plan.rules.path}  {about.source} -> {about.target}".rstrip(" ->")))
    for line in plan.recognised:
        out.print(f"            {line}")
    counted = f"{checkpoint.format}, {len(checkpoint)} tensors, {human_bytes(checkpoint.nbytes)}"
    out.print(styled("checkpoint", "bold", f"  {checkpoint.path}  {counted}"))
    if checkpoint.peeled:
        out.print(f"            peeled: {', '.join(checkpoint.peeled)}")
    print_skipped(checkpoint.skipped, out, "            left alone: ", SKIPPED_SHOWN)
    if plan.target is not None:
        counted = f"{len(plan.target.variables)} variables"
        out.print(styled("target", "bold", f"      {plan.target.model}  {counted}"))
        for note in plan.target.notes:
            out.print(f"            {note}")
    out.print()
    if pairs:
        out.print("\n".join(map(str, module_pairs(plan))), soft_wrap=True)
    else:
        out.print(_rows_table(plan))
    out.print()
    for item in settled(plan):
        out.print(f"{item.kind}: {item.names} ({item.count}): {item.reason}")
    for line in (*epsilon_lines(plan), *blind_lines(plan)):
        out.print(line)
    for line in account(plan).lines():
        out.print(line)
    for warning in plan.warnings:
        out.print(styled("warning", "yellow", f": {warning}"))
    if about.notes:
        out.print(f"note: {about.notes}")


def _rows_table(plan: Plan) -> Grid:
    """One row for each rule; lines alone where all rules stand in one file."""
    moved = rows(plan)
    files = {row.place.rpartition(":")[0] for row in moved}
    one = len(files) == 1
    place = "line" if one else "rule"
    made = Grid("PyTorch", "Keras", "layout", "variables", "size", place, right=("variables", "size", "line"))
    for row in moved:
        at = row.place.rpartition(":")[2] if one else row.place
        made.add_row(row.source, row.target, row.layout, str(row.variables), human_bytes(row.nbytes), at)
    return made


def print_result(result: Result, out: Console, pairs: bool = False) -> None:
    """What was done: the plan, the file, the proof, the line that loads it."""
    print_plan(result.plan, out, pairs)
    out.print()
    if result.written is None:
        out.print(f"dry run: {human_bytes(result.plan.nbytes)} would be written; nothing was")
        return
    written = result.written
    rate = written.bytes / written.seconds if written.seconds else 0.0
    speed = f"{human_bytes(written.bytes)} in {written.seconds:.2f} s ({human_bytes(rate)}/s)"
    out.print(styled("wrote", "bold green", f" {written.path}  {speed}"))
    if written.loss.absolute:
        out.print(f"narrowed: largest error {written.loss.absolute:.3g}, relative {written.loss.relative:.3g}")
    if written.not_finite:
        _print_not_finite(written.not_finite, out)
    if result.checked is not None:
        model = result.plan.target.model if result.plan.target else "the model"
        told = f"{result.checked.variables} variables as your rules say, bit for bit ({result.checked.seconds:.1f} s)"
        out.print(styled("checked", "bold green", f" in {model}: {told}"))
        out.print("'remap verify' shows whether the network computes the same")
    else:
        out.print("not checked in a model: give --model to have its variables compared")
    out.print("load it with:")
    out.print("\n".join(f"  {line}" for line in written.load_line.splitlines()), style="bold", soft_wrap=True)


def _print_not_finite(variables: Sequence[NotFinite], out: Console) -> None:
    more = f", and {len(variables) - ODD_SHOWN} more variables" if len(variables) > ODD_SHOWN else ""
    listed = "; ".join(map(str, variables[:ODD_SHOWN]))
    out.print(styled("not finite", "yellow", f" in the checkpoint, written as they are: {listed}{more}"))


@contextmanager
def progress_bars() -> Iterator[Any]:
    """A progress callback for :func:`remap.api.apply` that draws bars on a terminal after a second of work."""
    if not sys.stderr.isatty():
        yield None
        return
    from remap.report.progress import Bars

    with Bars() as bars:
        yield bars.advance
