"""The error of every layer along the depth of a network, as an SVG drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, log10

from remap.proving.rows import Outcome, Row

WIDTH, HEIGHT = 1000, 260
LEFT, TOP, BOTTOM = 48, 10, 26
LOWEST, HIGHEST = -17.0, 2.0


def error_plot(rows: Sequence[Row]) -> str:
    """Relative error and tolerance by row, log scale; rows whose shapes differ stand at the top. Empty without rows.

    Args:
        rows: In order of execution.
    """
    shown = [(index, row) for index, row in enumerate(rows) if row.outcome != Outcome.NOT_COMPARED]
    if not shown:
        return ""
    heights = [_height(row) for _, row in shown]
    known = [h for h in heights if h is not None]
    limits = [log10(row.tolerance / _scale(row)) for _, row in shown if row.tolerance > 0]
    low = max(LOWEST, floor(min([*known, *limits], default=-8.0)))
    high = min(HIGHEST, ceil(max([*known, *limits], default=0.0)) + 0.5)

    def x(index: int) -> float:
        return round(LEFT + (index + 0.5) * (WIDTH - LEFT - 8) / len(rows), 1)

    def y(height: float) -> float:
        share = (min(max(height, low), high) - low) / ((high - low) or 1.0)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    parts = [*_axis(low, high, y, len(rows))]
    line = " ".join(f"{x(index)},{y(log10(row.tolerance / _scale(row)))}" for index, row in shown if row.tolerance > 0)
    parts.append(f'<polyline class="limit" points="{line}"/>')
    for (index, row), height in zip(shown, heights, strict=True):
        parts.append(_dot(index, row, x(index), y(high if height is None else height), height is None))
    title = "Relative error of every layer along depth, log scale"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}" class="plot">{"".join(parts)}</svg>'


def _scale(row: Row) -> float:
    return row.difference.scale if row.difference is not None and row.difference.scale else 1.0


def _height(row: Row) -> float | None:
    """log10 of the relative error; None where shapes differ or nothing is finite."""
    if row.difference is None or row.difference.relative == float("inf"):
        return None
    return log10(row.difference.relative) if row.difference.relative > 0 else LOWEST


def _axis(low: float, high: float, y: object, count: int) -> Iterator[str]:
    assert callable(y)
    for power in range(int(low), int(high) + 1, max(1, int(high - low) // 6)):
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(power)}" y2="{y(power)}"/>'
        yield f'<text x="{LEFT - 6}" y="{y(power) + 4}" text-anchor="end">1e{power}</text>'
    yield f'<text x="{LEFT}" y="{HEIGHT - 6}">first layer</text>'
    yield f'<text x="{WIDTH - 8}" y="{HEIGHT - 6}" text-anchor="end">layer {count}</text>'


def _dot(index: int, row: Row, x: float, y: float, shapes: bool) -> str:
    told = "shapes differ" if shapes or row.difference is None else f"relative {row.difference.relative:.2g}"
    title = f"<title>{index + 1}. {escape(row.layer)}: {told}</title>"
    name = "bad" if row.outcome == Outcome.DIFFERS else "good"
    if shapes:
        points = f"{x - 5},{y + 8} {x + 5},{y + 8} {x},{y}"
        return f'<polygon class="dot {name}" data-row="{index}" points="{points}">{title}</polygon>'
    return f'<circle class="dot {name}" data-row="{index}" cx="{x}" cy="{y}" r="3.5">{title}</circle>'
