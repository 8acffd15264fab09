"""Indices and slices of a named axis: ``0``, ``-1``, ``"2:"``, ``"::2"``."""

from __future__ import annotations

import re

from remap.layout.axes import AxesError

_SLICE = re.compile(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?")


class TakeError(AxesError):
    """Neither an index nor a slice, or outside of the axis; the caller adds where it stands."""


def parse_take(text: int | str) -> int | slice:
    """An index, which removes the axis, or a slice, which shortens it.

    >>> parse_take("2:")
    slice(2, None, None)
    >>> parse_take(0)
    0
    """
    if isinstance(text, int):
        return text
    match = _SLICE.fullmatch(text)
    if match is None:
        raise TakeError(f"{text!r} is neither an index nor a slice like '2:' or '0:8:2'")
    start, stop, step = (None if part is None else int(part) for part in match.groups())
    if step == 0:
        raise TakeError(f"{text!r} has a step of 0")
    return slice(start, stop, step)


def bounded(text: int | str, size: int, name: str) -> int | range:
    """The index, from 0, or the indices that ``text`` names on an axis of ``size``.

    Raises:
        TakeError: Malformed, outside of the axis, or empty.

    >>> bounded("::-2", 4, "row")
    range(3, -1, -2)
    """
    index = parse_take(text)
    if isinstance(index, slice):
        found = range(*index.indices(size))
        if not found:
            raise TakeError(f"slice of axis {name!r} is empty: the axis has {size} entries")
        return found
    if not -size <= index < size:
        raise TakeError(f"axis {name!r} has {size} entries, there is no {index}")
    return index % size
