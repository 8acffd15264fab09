"""Byte counts for people."""

from __future__ import annotations


def human_bytes(count: float) -> str:
    """A byte count in the largest unit that leaves at least one.

    >>> human_bytes(2048), human_bytes(97_800_000)
    ('2.0 KB', '97.8 MB')
    """
    size, units = float(count), ["B", "KB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "B" else f"{size:.1f} {units[0]}"
