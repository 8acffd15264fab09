"""Axes patterns: ``"(h d) e -> e h d"``, the einops notation for split, permute and merge.

Parsing is separate from sizes: a pattern is parsed once, then solved for each source shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

AxisGroup = tuple[str, ...]
"""The named axes merged into one axis; empty for a written ``1``."""

_TOKEN = re.compile(r"\s*(->|[()]|1(?!\w)|[A-Za-z][A-Za-z0-9_]*)")


class AxesError(ValueError):
    """A pattern that is malformed, or does not fit a shape; the caller adds where it stands."""


@dataclass(frozen=True, slots=True)
class Axes:
    """A parsed pattern.

    Args:
        text: The pattern as written.
        left: One group for each axis of the source.
        right: One group for each axis of the result.

    >>> parse_axes("(h d) e -> e h d").left
    (('h', 'd'), ('e',))
    """

    text: str
    left: tuple[AxisGroup, ...]
    right: tuple[AxisGroup, ...]

    @property
    def names(self) -> AxisGroup:
        """The elementary axes in the order of the source."""
        return tuple(name for group in self.left for name in group)

    @property
    def new(self) -> AxisGroup:
        """Axes that only the result has: the source is repeated along them."""
        known = set(self.names)
        return tuple(name for group in self.right for name in group if name not in known)

    def solve(
        self, shape: tuple[int, ...], known: Mapping[str, int], target: tuple[int | None, ...] | None = None
    ) -> dict[str, int]:
        """Sizes of all elementary axes.

        Args:
            shape: Shape of the source.
            known: Sizes given by name; one that contradicts the shape is an error.
            target: Shape of the result where it is known (None for an axis that is not); it settles
                what the source leaves open, and is not compared otherwise.

        Raises:
            AxesError: Rank or sizes do not fit, or a size stays unknown.

        >>> parse_axes("(h d) e -> e h d").solve((12, 5), {"h": 3})
        {'h': 3, 'd': 4, 'e': 5}
        """
        if len(shape) != len(self.left):
            raise AxesError(f"{self.text!r} describes {len(self.left)} axes, the tensor has {len(shape)}: {shape}")
        names = set(self.names) | set(self.new)
        sizes = {name: size for name, size in known.items() if name in names}
        groups = list(zip(self.left, shape, strict=True))
        if target is not None and len(target) == len(self.right):
            groups += [(group, size) for group, size in zip(self.right, target, strict=True) if size is not None]
        progress = True
        while progress:
            progress = False
            for group, size in groups:
                progress |= self._solve_group(group, size, sizes, shape)
        unknown = [name for name in (*self.names, *self.new) if name not in sizes]
        if unknown:
            raise AxesError(
                f"size of {', '.join(unknown)} in {self.text!r} is unknown for shape {shape}; "
                f"known: {sizes or 'none'}; say sizes = {{ {unknown[0]} = NUMBER }}"
            )
        for group, size in zip(self.left, shape, strict=True):
            if prod(sizes[name] for name in group) != size:
                raise AxesError(f"({' '.join(group)}) of {self.text!r} is {_product(group, sizes)}, the axis is {size}")
        return {name: sizes[name] for name in (*self.names, *self.new)}

    def _solve_group(self, group: AxisGroup, size: int, sizes: dict[str, int], shape: tuple[int, ...]) -> bool:
        missing = [name for name in group if name not in sizes]
        if len(missing) != 1:
            return False
        rest = prod(sizes[name] for name in group if name in sizes)
        if rest == 0 or size % rest:
            raise AxesError(
                f"axis of {size} does not split into ({' '.join(group)}) of {self.text!r} "
                f"with {_product(tuple(n for n in group if n in sizes), sizes)}; shape {shape}"
            )
        sizes[missing[0]] = size // rest
        return True


def _product(group: AxisGroup, sizes: Mapping[str, int]) -> str:
    return " x ".join(f"{name}={sizes[name]}" for name in group) or "1"


@lru_cache(maxsize=4096)
def parse_axes(text: str) -> Axes:
    """Parse a pattern.

    Raises:
        AxesError: Malformed: says what is wrong and at which column.

    >>> parse_axes("o i h w -> h w i o").right
    (('h',), ('w',), ('i',), ('o',))
    """
    left, right = _Parser(text).parse()
    axes = Axes(text, left, right)
    for side, groups in (("left", left), ("right", right)):
        names = [name for group in groups for name in group]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise AxesError(f"{', '.join(twice)} stands twice on the {side} of {text!r}")
    lost = sorted(set(axes.names) - {name for group in right for name in group})
    if lost:
        raise AxesError(
            f"{', '.join(lost)} of {text!r} is not on the right; an axis is removed by 'take', or written 1"
        )
    return axes


@lru_cache(maxsize=512)
def parse_groups(text: str) -> tuple[AxisGroup, ...]:
    """Parse one side of a pattern.

    Raises:
        AxesError: Malformed.

    >>> parse_groups("(c m) k")
    (('c', 'm'), ('k',))
    """
    return _Parser(f"{text} -> {text}").parse()[0]


def axes_text(left: tuple[AxisGroup, ...], right: tuple[AxisGroup, ...]) -> str:
    """A pattern as it is written.

    >>> axes_text((("h", "d"), ("e",)), (("e",), (), ("h",), ("d",)))
    '(h d) e -> e 1 h d'
    """
    return f"{_side_text(left)} -> {_side_text(right)}".strip()


def _side_text(groups: tuple[AxisGroup, ...]) -> str:
    return " ".join("1" if not group else group[0] if len(group) == 1 else f"({' '.join(group)})" for group in groups)


class _Parser:
    """Recursive descent over the tokens of one pattern."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, int]] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise AxesError(f"unexpected {text[position:].strip()[0]!r} at column {position + 1} of {text!r}")
            self.tokens.append((match[1], match.start(1)))
            position = match.end()
        self.next = 0

    def parse(self) -> tuple[tuple[AxisGroup, ...], tuple[AxisGroup, ...]]:
        left = self._side()
        if self._peek() != "->":
            raise AxesError(f"{self.text!r} has no '->'")
        self.next += 1
        right = self._side()
        if self._peek() is not None:
            raise AxesError(f"unexpected {self._peek()!r} at column {self.tokens[self.next][1] + 1} of {self.text!r}")
        return left, right

    def _peek(self) -> str | None:
        return self.tokens[self.next][0] if self.next < len(self.tokens) else None

    def _side(self) -> tuple[AxisGroup, ...]:
        groups: list[AxisGroup] = []
        while (token := self._peek()) not in (None, "->", ")"):
            self.next += 1
            groups.append(self._merged() if token == "(" else _one(token))
        return tuple(groups)

    def _merged(self) -> AxisGroup:
        names: list[str] = []
        while (token := self._peek()) not in (None, "->", "("):
            self.next += 1
            if token == ")":
                return tuple(names)
            names += _one(token)
        raise AxesError(f"'(' is not closed, or nested, in {self.text!r}")


def _one(token: str | None) -> AxisGroup:
    return () if token in (None, "1") else (str(token),)
