"""Regexes as trees: what remap has to know of a pattern beyond whether it matches."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

ALPHABET = 128
"""Characters that are told apart: ASCII. All others behave as the last of them."""

_ANY = frozenset(range(ALPHABET))
_CATEGORIES = {
    sre.CATEGORY_DIGIT: frozenset(map(ord, "0123456789")),
    sre.CATEGORY_SPACE: frozenset(map(ord, " \t\n\r\f\v")),
    sre.CATEGORY_WORD: frozenset(i for i in range(ALPHABET) if chr(i).isalnum() or chr(i) == "_"),
}
_NEGATED = {
    sre.CATEGORY_NOT_DIGIT: sre.CATEGORY_DIGIT,
    sre.CATEGORY_NOT_SPACE: sre.CATEGORY_SPACE,
    sre.CATEGORY_NOT_WORD: sre.CATEGORY_WORD,
}
DIGITS = _CATEGORIES[sre.CATEGORY_DIGIT]


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of a set.

    Args:
        codes: The characters.
        dot: Whether it was written ``.``.
    """

    codes: frozenset[int]
    dot: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """One part after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part again and again; ``most`` None for without end."""

    part: Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Capture:
    """A group; ``name`` empty for a numbered one."""

    part: Node
    name: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """``^``, ``$``, ``\\Z`` and the like: nothing is consumed."""

    word: str


@dataclass(frozen=True, slots=True)
class Special:
    """Look-around, back-references, conditionals: beyond a regular language."""

    part: Node


Node = Chars | Sequence | Choice | Repeat | Capture | Anchor | Special


@lru_cache(maxsize=4096)
def parse_regex(expanded: str) -> Node:
    r"""The tree of a Python regular expression.

    Raises:
        re.error: It is none.

    >>> parse_regex(r"a\d+").parts[1].least
    1
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = _parser.parse(expanded, re.ASCII)
    names = {number: name for name, number in parsed.state.groupdict.items()}
    return _sequence(parsed, names, bool(parsed.state.flags & re.IGNORECASE))


def _sequence(parsed: Any, names: dict[int, str], fold: bool) -> Node:
    parts = tuple(_node(op, argument, names, fold) for op, argument in parsed)
    return parts[0] if len(parts) == 1 else Sequence(parts)


def _node(op: Any, argument: Any, names: dict[int, str], fold: bool) -> Node:
    if op is sre.LITERAL:
        return Chars(_folded(frozenset({min(argument, ALPHABET - 1)}), fold))
    if op is sre.NOT_LITERAL:
        return Chars(_ANY - _folded(frozenset({argument}), fold))
    if op is sre.ANY:
        return Chars(_ANY - {10}, dot=True)
    if op is sre.IN:
        return Chars(_folded(_members(argument), fold))
    if op is sre.BRANCH:
        return Choice(tuple(_sequence(branch, names, fold) for branch in argument[1]))
    if op is sre.SUBPATTERN:
        group, added, removed, inner = argument
        part = _sequence(inner, names, (fold or bool(added & re.IGNORECASE)) and not removed & re.IGNORECASE)
        return part if group is None else Capture(part, names.get(group, ""))
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        least, most, inner = argument
        repeat = Repeat(_sequence(inner, names, fold), int(least), None if most is sre.MAXREPEAT else int(most))
        return Special(repeat) if op is sre.POSSESSIVE_REPEAT else repeat
    if op is sre.AT:
        return Anchor(str(argument))
    if op is sre.ATOMIC_GROUP:
        return Special(_sequence(argument, names, fold))
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return Special(_sequence(argument[1], names, fold))
    return Special(Sequence(()))


def _members(items: Any) -> frozenset[int]:
    codes: frozenset[int] = frozenset()
    negated = False
    for op, argument in items:
        if op is sre.NEGATE:
            negated = True
        elif op is sre.LITERAL:
            codes |= {min(argument, ALPHABET - 1)}
        elif op is sre.RANGE:
            codes |= set(range(min(argument[0], ALPHABET - 1), min(argument[1], ALPHABET - 1) + 1))
        elif argument in _CATEGORIES:
            codes |= _CATEGORIES[argument]
        else:
            codes |= _ANY - _CATEGORIES[_NEGATED[argument]]
    return _ANY - codes if negated else codes


def _folded(codes: frozenset[int], fold: bool) -> frozenset[int]:
    if not fold:
        return codes
    return codes | {ord(other) for code in codes for other in (chr(code).lower(), chr(code).upper())}


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node."""
    if isinstance(node, Sequence):
        return node.parts
    if isinstance(node, Choice):
        return node.options
    return (node.part,) if isinstance(node, Repeat | Capture | Special) else ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, outermost first."""
    yield node
    for child in children(node):
        yield from walk(child)


def counted_size(node: Node) -> int:
    r"""How often the largest part is written when every counted repetition is written out.

    >>> counted_size(parse_regex("(a{10}){20}"))
    200
    """
    inner = max((counted_size(child) for child in children(node)), default=1)
    if isinstance(node, Repeat):
        return inner * max(node.least, node.most or 1, 1)
    return inner


def nullable(node: Node) -> bool:
    """Whether the empty text matches; anchors and look-around count as empty."""
    if isinstance(node, Chars):
        return False
    if isinstance(node, Choice):
        return any(map(nullable, node.options))
    if isinstance(node, Repeat):
        return node.least == 0 or nullable(node.part)
    return all(map(nullable, children(node))) if isinstance(node, Sequence | Capture) else True
