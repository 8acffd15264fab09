"""Near misses: what a name that fits nothing was probably meant to be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

_NUMBER = re.compile(r"\d+")
MOST_COMPARED = 400


def closest(name: str, names: Sequence[str], count: int = 3) -> list[str]:
    """The names most like ``name``, best first; numbers count little, words much.

    >>> closest("layer1.0.conv1.weight", ["layer1.0.bn1.weight", "layer1.0.conv2.weight", "fc.bias"], 1)
    ['layer1.0.conv2.weight']
    """
    words = set(_words(name))
    ranked = sorted(names, key=lambda other: -len(words & set(_words(other))))[:MOST_COMPARED]
    scored = [(SequenceMatcher(None, name, other, autojunk=False).ratio(), other) for other in ranked]
    scored.sort(key=lambda pair: -pair[0])
    return [other for score, other in scored[:count] if score >= 0.5]


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
