"""A difference of two files for people, grouped like the other reports."""

from __future__ import annotations

from rich.console import Console

from remap.diff.files import DiffEntry, FileDifference
from remap.planning.suggest import grouped
from remap.report.console import Grid, styled

SHOWN = 40


def print_difference(difference: FileDifference, a: str, b: str, out: Console) -> None:
    """What differs, names that differ in numbers only on one line; then the count."""
    differing = {entry.name: entry for entry in difference.entries if entry.verdict != "equal"}
    rows = Grid("name", "what", "a", "b", "max abs", "max rel", "equal", right=("max abs", "max rel", "equal"))
    patterns = grouped(differing)
    for pattern, names in patterns[:SHOWN]:
        rows.add_row(*_row(pattern, [differing[name] for name in names]))
    if differing:
        out.print(rows)
    if len(patterns) > SHOWN:
        out.print(f"... and {len(patterns) - SHOWN} more patterns")
    for side, only in ((a, difference.only_a), (b, difference.only_b)):
        for pattern, members in grouped(only)[:SHOWN]:
            out.print(f"only in {side}: {pattern} ({len(members)})")
    equal = len(difference.entries) - len(differing)
    verdict = ("equal", "bold green") if difference.equal else ("different", "bold red")
    shared = f"{equal} of {len(difference.entries)} shared tensors equal bit for bit, {len(differing)} differ"
    out.print(
        styled(*verdict, f": {shared}; {len(difference.only_a)} only in {a}, {len(difference.only_b)} only in {b}")
    )


def _row(pattern: str, entries: list[DiffEntry]) -> tuple[str, ...]:
    kinds = "/".join(dict.fromkeys(entry.verdict for entry in entries))
    compared = [entry.compared for entry in entries if entry.compared is not None]
    elements, equal = sum(c.elements for c in compared), sum(c.equal for c in compared)
    return (
        pattern if len(entries) == 1 else f"{pattern} ({len(entries)})",
        kinds,
        f"{entries[0].dtypes[0]} {list(entries[0].shapes[0])}",
        f"{entries[0].dtypes[1]} {list(entries[0].shapes[1])}",
        f"{max(c.absolute for c in compared):.3g}" if compared else "",
        f"{max(c.relative for c in compared):.3g}" if compared else "",
        f"{equal / elements:.1%}" if elements else "",
    )
