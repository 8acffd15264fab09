"""Near misses: what a name that fits nothing was probably meant to be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import cached_property
from heapq import nlargest

_NUMBER = re.compile(r"\d+")
MOST_COMPARED = 40


class Nearest:
    """Names, ready to be asked for those most like another: numbers count little, words much.

    Of names that differ in numbers only, the first stands for all, so that an answer takes a short time
    however many names there are.

    >>> Nearest(["layer1.0.bn1.weight", "layer1.0.conv2.weight", "fc.bias"]).to("layer1.0.conv1.weight", 1)
    ['layer1.0.conv2.weight']
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = names

    def to(self, name: str, count: int = 3) -> list[str]:
        """Up to ``count`` of the names, best first; fewer where they are hardly alike."""
        words = set(_words(name))
        ranked = nlargest(MOST_COMPARED, self._words.items(), key=lambda pair: len(words & pair[1]))
        scored = [(SequenceMatcher(None, name, other, autojunk=False).ratio(), other) for other, _ in ranked]
        scored.sort(key=lambda pair: -pair[0])
        return [other for score, other in scored[:count] if score >= 0.5]

    @cached_property
    def _words(self) -> dict[str, set[str]]:
        shapes: dict[str, str] = {}
        for name in self._names:
            shapes.setdefault(_NUMBER.sub("#", name), name)
        return {name: set(_words(name)) for name in shapes.values()}


def grouped(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Names that differ in numbers only, together, under a pattern with the ranges of the numbers.

    >>> grouped(["a.0.w", "a.1.w", "b"])
    [('a.{0..1}.w', ['a.0.w', 'a.1.w']), ('b', ['b'])]
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_NUMBER.sub("#", name), []).append(name)
    return [(pattern_of(members), members) for members in groups.values()]


def pattern_of(members: list[str]) -> str:
    """The one pattern of names that differ in numbers only.

    >>> pattern_of(["layer1.0.bn", "layer2.1.bn"])
    'layer{1..2}.{0..1}.bn'
    """
    columns = list(zip(*(map(int, _NUMBER.findall(name)) for name in members), strict=True))
    texts = iter([_range(sorted(set(column))) for column in columns])
    return _NUMBER.sub(lambda _: next(texts), members[0])


def _range(values: list[int]) -> str:
    if len(values) == 1:
        return str(values[0])
    if values == list(range(values[0], values[-1] + 1)):
        return f"{{{values[0]}..{values[-1]}}}"
    if len(values) <= 6:
        return f"{{{','.join(map(str, values))}}}"
    return f"{{{values[0]}..{values[-1]}: {len(values)}}}"


def _words(name: str) -> list[str]:
    return re.findall(r"[a-zA-Z]+|\d+", name)


def named_once(members: Sequence[str]) -> tuple[str, ...]:
    """The one name that a group stands for, if it is one: a pattern names none in full."""
    return tuple(members) if len(members) == 1 else ()


def several(pattern: str, members: Sequence[str]) -> str:
    """A pattern with the number of names that it stands for, where they are several."""
    return pattern if len(members) == 1 else f"{pattern} ({len(members)})"
