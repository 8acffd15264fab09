"""Problems for a reader: those of one rule together, causes before what comes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from remap.errors import Located, Problem, ProblemCode
from remap.planning.suggest import grouped

_LATER = (ProblemCode.UNCLAIMED, ProblemCode.MISSING)
"""Kinds that other problems often explain, in the order in which they are shown behind them."""


def gathered(problems: Iterable[Problem]) -> list[Problem]:
    """Problems of one kind and one rule as one, with their count; those that others may explain come last.

    >>> from pathlib import Path
    >>> from remap.rules.place import Place
    >>> place = Place(Path("a.toml"), 3)
    >>> two = [Problem("no such variable", found=f"fc{n}", place=place, subject=f"l{n}") for n in (1, 2)]
    >>> print(gathered(two)[0])
    no such variable
      at a.toml:3 (l{1..2}, 2 in all)
      found: fc{1..2}, 2 in all
    """
    groups: dict[tuple[str, Located | int], list[Problem]] = {}
    for number, problem in enumerate(problems):
        groups.setdefault((problem.what, number if problem.place is None else problem.place), []).append(problem)
    return sorted(map(_one, groups.values()), key=_rank)


def _rank(problem: Problem) -> int:
    return _LATER.index(problem.code) + 1 if problem.code in _LATER else 0


def _one(members: Sequence[Problem]) -> Problem:
    first = members[0]
    if len(members) == 1:
        return first
    return replace(
        first,
        where="",
        subject=_several([problem.subject for problem in members]),
        found=_several([problem.found for problem in members]),
        names=tuple(dict.fromkeys(name for problem in members for name in problem.names)),
    )


def _several(texts: Sequence[str]) -> str:
    """Texts as one: a pattern where they are names that differ in numbers only, the first and a count otherwise."""
    different = list(dict.fromkeys(filter(None, texts)))
    if len(different) < 2:
        return "".join(different)
    patterns = grouped(different)
    named = len(patterns) == 1 and not any(mark in different[0] for mark in "(:,")
    return f"{patterns[0][0]}, {len(different)} in all" if named else f"{different[0]}, and {len(different) - 1} more"
