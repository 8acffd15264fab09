"""The proof for people, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from remap.proving.disagreement import Disagreement
from remap.proving.rows import Outcome, Row
from remap.proving.verified import Verified
from remap.report.console import Grid, styled
from remap.report.verify_words import failed_trials, headline, proof_lines

AROUND = 3
"""Rows shown before and after the first divergence, beside those that differ by themselves."""


def print_verified(
    verified: Verified, out: Console, all_rows: bool = False, failures: bool = False, wrote: str = ""
) -> None:
    """The verdict, one line a subject, the layers around the first divergence, the settings that disagree; the verdict.

    Args:
        verified: What the proof found.
        out: Where to.
        all_rows: Whether every layer and line is shown, not only those around a divergence, and those that matter.
        failures: Whether the trials that could not run are named.
        wrote: The page that was written.
    """
    verdict = styled(headline(verified), "bold green" if verified.proved else "bold red")
    out.print(verdict)
    equal = verified.verdict == "equal" and not all_rows
    lines = [line for line in proof_lines(verified) if not (equal and line.aside)]
    width = max((len(line.label) for line in lines), default=0)
    for line in lines:
        mark = {True: "ok  ", False: "!!  ", None: "    "}[line.good]
        out.print(f"{mark}{line.label.ljust(width)}  {line.text}")
    for trial in failed_trials(verified) if failures else ():
        out.print(f"    trial failed: {trial}")
    _print_rows(verified, out, all_rows)
    if equal:
        _print_set_otherwise(verified.audit, out)
    else:
        print_audit(verified.audit, out, alone=verified.verdict == "audited")
    if wrote:
        out.print(f"wrote {wrote}")
    out.print(verdict)


def _print_set_otherwise(audit: Sequence[Disagreement], out: Console) -> None:
    """Settings that disagree though outputs are equal: on another input they may not be."""
    layers: dict[tuple[str, str, str], list[str]] = {}
    for entry in audit:
        if not entry.harmless:
            layers.setdefault((entry.setting, entry.torch, entry.keras), []).append(entry.layer)
    for (setting, torch, keras), names in layers.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        told = f"PyTorch {torch}, Keras {keras}: equal on this input, and perhaps on no other"
        out.print(f"    {setting} of {names[0]}{more}: {told}")


def _print_rows(verified: Verified, out: Console, all_rows: bool) -> None:
    rows = list(enumerate(verified.rows, 1))
    first = next((n for n, row in rows if row.outcome == Outcome.DIFFERS), None)
    if not all_rows:
        near = range(0) if first is None else range(first - AROUND, first + AROUND + 1)
        rows = [(n, row) for n, row in rows if n in near or row.alone is Outcome.DIFFERS]
    if not rows:
        return
    out.print()
    shown = Grid(
        "#",
        "Keras",
        "PyTorch",
        "kind",
        "largest",
        "relative",
        "cosine",
        "tolerance",
        "",
        right=("#", "largest", "relative", "cosine", "tolerance"),
    )
    for number, row in rows:
        shown.add_row(str(number), row.layer, row.module, row.kind, *_numbers(row), _outcome(row))
    out.print(shown)


def _outcome(row: Row) -> str:
    return f"{row.outcome}, by itself too" if row.alone is Outcome.DIFFERS else row.outcome


def _numbers(row: Row) -> tuple[str, str, str, str]:
    difference = row.difference
    if difference is None:
        told = f"{row.shapes[1]} {row.shapes[0]}" if row.outcome == Outcome.DIFFERS else ""
        return told, "", "", ""
    return (
        f"{difference.largest:.2g}",
        f"{difference.relative:.2g}",
        f"{difference.cosine:.7f}",
        f"{row.tolerance:.2g}",
    )


def print_audit(audit: Sequence[Disagreement], out: Console, *, alone: bool = True) -> None:
    """Settings in which mapped layers disagree; ``alone`` says so too where none do."""
    harmful = [entry for entry in audit if not entry.harmless]
    by_note: dict[str, int] = {}
    for entry in audit:
        if entry.harmless:
            by_note[f"{entry.setting}: {entry.note}"] = by_note.get(f"{entry.setting}: {entry.note}", 0) + 1
    for note, count in by_note.items():
        out.print(f"    {count} layers differ in {note}")
    if not harmful:
        if alone:
            out.print("no settings of mapped pairs disagree" if not by_note else "no others disagree")
        return
    out.print()
    shown = Grid("settings that disagree", "PyTorch module", "setting", "PyTorch", "Keras", "")
    for entry in harmful:
        shown.add_row(entry.layer, entry.module, entry.setting, entry.torch, entry.keras, entry.note)
    out.print(shown)
