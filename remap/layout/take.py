"""Indices and slices of a named axis: ``0``, ``-1``, ``"2:"``, ``"::2"``, ``":tokens"``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from remap.layout.axes import AxesError

_BOUND = r"\s*(-?\d+|[A-Za-z_]\w*)?\s*"
_SLICE = re.compile(rf"{_BOUND}:{_BOUND}(?::\s*(-?\d+)?\s*)?")


class TakeError(AxesError):
    """Neither an index nor a slice, or outside of the axis; the caller adds where it stands."""


def parse_take(text: int | str, sizes: Mapping[str, int] | None = None) -> int | slice:
    """An index, which removes the axis, or a slice, which shortens it.

    Args:
        text: As it is written.
        sizes: Numbers that bounds of a slice are given by.

    Raises:
        TakeError: Malformed, or a bound is a number that ``sizes`` does not have.

    >>> parse_take("2:")
    slice(2, None, None)
    >>> parse_take(":tokens", {"tokens": 9})
    slice(None, 9, None)
    >>> parse_take(0)
    0
    """
    if isinstance(text, int):
        return text
    start, stop, step = (_number(part, sizes or {}) for part in _parts(text))
    return slice(start, stop, step)


def names_in(text: int | str) -> tuple[str, ...]:
    """The names of numbers that bounds of a slice are given by.

    Raises:
        TakeError: Malformed.

    >>> names_in(":tokens")
    ('tokens',)
    """
    parts = () if isinstance(text, int) else _parts(text)
    return tuple(part for part in parts if part and part.isidentifier())


def bounded(text: int | str, size: int, name: str, sizes: Mapping[str, int] | None = None) -> int | range:
    """The index, from 0, or the indices that ``text`` names on an axis of ``size``.

    Raises:
        TakeError: Malformed, outside of the axis, or empty.

    >>> bounded("::-2", 4, "row")
    range(3, -1, -2)
    """
    index = parse_take(text, sizes)
    if isinstance(index, slice):
        indices = range(*index.indices(size))
        if not indices:
            raise TakeError(f"slice of axis {name!r} is empty: the axis has {size} entries")
        return indices
    if not -size <= index < size:
        raise TakeError(f"axis {name!r} has {size} entries, there is no {index}")
    return index % size


def _parts(text: str) -> tuple[str | None, ...]:
    match = _SLICE.fullmatch(text)
    if match is None:
        raise TakeError(f"{text!r} is neither an index nor a slice like '2:' or '0:8:2'")
    if match[3] is not None and int(match[3]) == 0:
        raise TakeError(f"{text!r} has a step of 0")
    return match.groups()


def _number(part: str | None, sizes: Mapping[str, int]) -> int | None:
    if part is None or not part.isidentifier():
        return None if part is None else int(part)
    if part not in sizes:
        raise TakeError(f"the number {part!r} is not known: give it with --set {part}=NUMBER")
    return sizes[part]
