"""Entries of a checkpoint that were left alone, each with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from remap.tensors.tensor import Skipped

SHOWN = 12


def print_skipped(skipped: Sequence[Skipped], out: Console, lead: str = "left alone: ", shown: int = SHOWN) -> None:
    """A line each, up to a number of them.

    Args:
        skipped: The entries.
        out: Where to.
        lead: What each line begins with.
        shown: How many lines at most.
    """
    for entry in skipped[:shown]:
        out.print(f"{lead}{entry.name}: {entry.reason}")
    if len(skipped) > shown:
        out.print(f"{lead}{len(skipped) - shown} more")
