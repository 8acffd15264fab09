"""The report for people: tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from remap.planning.plan import Plan
from remap.report.account import account, blind_lines, epsilon_lines, rows, settled
from remap.report.sizes import human_bytes

if TYPE_CHECKING:
    from remap.api import Result
    from remap.writing.finite import NotFinite

PLAIN_WIDTH = 160
ODD_SHOWN = 6


def console() -> Console:
    """A console on standard output: styled on a terminal, plain and wide elsewhere."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, no_color=True, width=PLAIN_WIDTH, force_terminal=False)


def table(out: Console, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the house style."""
    found = Table(box=None, pad_edge=False, header_style="bold" if out.is_terminal else "")
    for name in columns:
        found.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return found


def print_plan(plan: Plan, out: Console) -> None:
    """What will be done: the two sides, one row for each rule, the account."""
    about = plan.rules.about
    checkpoint = plan.checkpoint
    out.print(f"[bold]rules[/]       {plan.rules.path}  {about.source} -> {about.target}".rstrip(" ->"))
    for line in plan.recognised:
        out.print(f"            {line}", markup=False)
    out.print(
        f"[bold]checkpoint[/]  {checkpoint.path}  {checkpoint.format}, {len(checkpoint)} tensors, "
        f"{human_bytes(checkpoint.nbytes)}"
    )
    if checkpoint.peeled:
        out.print(f"            peeled: {', '.join(checkpoint.peeled)}", markup=False)
    if checkpoint.skipped:
        names = ", ".join(skipped.name for skipped in checkpoint.skipped[:4])
        more = f" and {len(checkpoint.skipped) - 4} more" if len(checkpoint.skipped) > 4 else ""
        out.print(f"            no tensors, left alone: {names}{more}", markup=False)
    if plan.target is not None:
        out.print(f"[bold]target[/]      {plan.target.model}  {len(plan.target.variables)} variables")
        for note in plan.target.notes:
            out.print(f"            {note}", markup=False)
    out.print()
    out.print(_rows_table(plan, out), markup=False)
    out.print()
    for item in settled(plan):
        out.print(f"{item.kind}: {item.names} ({item.count}): {item.reason}", markup=False)
    for line in (*epsilon_lines(plan), *blind_lines(plan)):
        out.print(line, markup=False)
    for line in account(plan).lines():
        out.print(line, markup=False)
    for warning in plan.warnings:
        out.print(f"[yellow]warning[/]: {warning}" if out.is_terminal else f"warning: {warning}")
    if about.notes:
        out.print(f"note: {about.notes}", markup=False)


def _rows_table(plan: Plan, out: Console) -> Table:
    """One row for each rule; lines alone where all rules stand in one file."""
    found = rows(plan)
    files = {row.place.rpartition(":")[0] for row in found}
    one = len(files) == 1
    place = "line" if one else "rule"
    made = table(out, "PyTorch", "Keras", "layout", "variables", "size", place, right=("variables", "size", "line"))
    for row in found:
        at = row.place.rpartition(":")[2] if one else row.place
        made.add_row(row.source, row.target, row.layout, str(row.variables), human_bytes(row.nbytes), at)
    return made


def print_result(result: Result, out: Console) -> None:
    """What was done: the plan, the file, the proof, the line that loads it."""
    print_plan(result.plan, out)
    out.print()
    if result.written is None:
        out.print(f"dry run: {human_bytes(result.plan.nbytes)} would be written; nothing was")
        return
    written = result.written
    rate = written.bytes / written.seconds if written.seconds else 0.0
    out.print(
        f"[bold green]wrote[/] {written.path}  {human_bytes(written.bytes)} in {written.seconds:.2f} s "
        f"({human_bytes(rate)}/s)"
    )
    if written.loss.absolute:
        out.print(
            f"narrowed: largest error {written.loss.absolute:.3g}, relative {written.loss.relative:.3g}", markup=False
        )
    if written.not_finite:
        _print_not_finite(written.not_finite, out)
    if result.checked is not None:
        out.print(
            f"[bold green]proved[/] in {result.plan.target.model if result.plan.target else 'the model'}: "
            f"{result.checked.variables} variables equal bit for bit ({result.checked.seconds:.1f} s)"
        )
    else:
        out.print("not checked in a model: give --model to have it proved")
    out.print("load it with:")
    out.print("\n".join(f"  {line}" for line in written.load_line.splitlines()), markup=False, style="bold")


def _print_not_finite(found: Sequence[NotFinite], out: Console) -> None:
    more = f", and {len(found) - ODD_SHOWN} more variables" if len(found) > ODD_SHOWN else ""
    listed = "; ".join(map(str, found[:ODD_SHOWN]))
    out.print(f"[yellow]not finite[/] in the checkpoint, written as they are: {escape(listed)}{more}")


@contextmanager
def progress_bars() -> Iterator[Any]:
    """A progress callback for :func:`remap.api.apply` that draws bars on a terminal after a second of work."""
    if not sys.stderr.isatty():
        yield None
        return
    from remap.report.progress import Bars

    with Bars() as bars:
        yield bars.advance
