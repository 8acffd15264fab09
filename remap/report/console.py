"""The screen: text is shown as it is, and no line is broken inside of a word or a number."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from remap.report.printable import INDENT, cuts, printable

PIPED_WIDTH = 1_000_000
"""Columns where nobody looks: programs get every line whole."""


def styled(word: str, style: str, rest: str = "") -> Text:
    """A word in a style, and what follows it without one."""
    return Text.assemble((printable(word), style), printable(rest))


class Screen(Console):
    """A console on which names of the user's are never markup, emoji or control characters."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    def print(self, *objects: Any, soft_wrap: bool | None = None, style: str = "", **options: Any) -> None:  # type: ignore[override]
        """Print as rich does, lines broken between words alone; ``soft_wrap`` leaves them whole, as code must be."""
        texts = all(isinstance(each, str | Text) for each in objects)
        shown = [self._wrapped(each, style) for each in objects] if texts and not soft_wrap else objects
        super().print(*shown, style=style or None, soft_wrap=texts, **options)

    def _wrapped(self, text: str | Text, style: str) -> Text:
        whole = Text(printable(text), style) if isinstance(text, str) else text
        return Text("\n").join(part for line in whole.split("\n") for part in _parts(line, self.width))


def console() -> Screen:
    """A screen on standard output: styled and as wide as the terminal, plain and without a width elsewhere."""
    if sys.stdout.isatty():
        return Screen(highlight=False)
    return Screen(highlight=False, no_color=True, width=PIPED_WIDTH, force_terminal=False)


def _parts(line: Text, width: int) -> list[Text]:
    """A line cut between words into parts that fit, those after the first indented; a longer word stays whole."""
    places, hanging = cuts(line.plain, width)
    first, *rest = line.divide(places)
    parts = [first, *(Text(" " * hanging).append_text(part) for part in rest)]
    for part in parts:
        part.rstrip()
    return parts


class Grid:
    """Rows under headings; on a screen too narrow for them, a paragraph for each row.

    Args:
        *columns: The headings.
        right: Those whose cells are numbers.
    """

    def __init__(self, *columns: str, right: tuple[str, ...] = ()) -> None:
        self._columns = columns
        self._right = right
        self._rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """One more row, a cell for each heading."""
        self._rows.append(tuple(map(printable, cells)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self._table("bold" if console.is_terminal else "")
        if Measurement.get(console, options.update(max_width=PIPED_WIDTH), table).maximum <= options.max_width:
            yield table
            return
        for row in self._rows:
            yield from self._paragraph(row, options.max_width)

    def _table(self, header_style: str) -> Table:
        table = Table(box=None, pad_edge=False, header_style=header_style)
        for name in self._columns:
            table.add_column(name, justify="right" if name in self._right else "left", no_wrap=True)
        for row in self._rows:
            table.add_row(*map(Text, row))
        return table

    def _paragraph(self, row: tuple[str, ...], width: int) -> list[Text]:
        """A row as lines: its first cell, then the others with their headings, as many on a line as fit."""
        first, *rest = row
        words = [f"{name} {cell}".strip() for name, cell in zip(self._columns[1:], rest, strict=True) if cell]
        lines = [""]
        for word in words:
            if lines[-1] and len(lines[-1]) + len(word) + 2 + INDENT > width:
                lines.append("")
            lines[-1] += f", {word}" if lines[-1] else word
        shown = [Text(first, "bold"), *(Text(" " * INDENT + line) for line in lines if line)]
        parts = [part for line in shown for part in _parts(line, width)]
        for part in parts:
            part.overflow, part.no_wrap = "ignore", True
        return parts
