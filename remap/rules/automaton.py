"""Regular languages: do two patterns share a name, does one hold all of another, can one explode.

A pattern becomes a position automaton (Glushkov 1961): one state for each character written in it, no empty
moves. All questions are then searches over pairs of states.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from remap.rules.syntax import Anchor, Capture, Chars, Choice, Node, Repeat, Sequence, Special, walk

PRINTABLE = frozenset(range(33, 127))
_PREFERRED = "0aA._"
MOST_STATES = 20_000
"""Pairs of states looked at before a question is given up."""


@dataclass(slots=True)
class Automaton:
    """A position automaton.

    Args:
        characters: For each position, the characters that it takes.
        first: Positions that a name can begin with.
        last: Positions that it can end with.
        empty: Whether the empty name matches.
        after: For each position, those that can follow.
        doubled: Whether two repetitions allow the same step, so that one name is matched in many ways.
    """

    characters: list[frozenset[int]] = field(default_factory=list)
    first: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    empty: bool = True
    after: list[set[int]] = field(default_factory=list)
    doubled: bool = False


Ends = tuple[frozenset[int], frozenset[int], bool]
"""First and last positions of a part, and whether it can be empty."""


def automaton(node: Node) -> Automaton:
    """The automaton of a pattern; look-around and back-references are taken as what stands in them."""
    built = Automaton()
    built.first, built.last, built.empty = _build(node, built)
    return built


def regular(node: Node) -> bool:
    """Whether the automaton says all there is to say: no look-around, no back-references."""
    return not any(isinstance(part, Special) for part in walk(node))


def _build(node: Node, into: Automaton) -> Ends:
    if isinstance(node, Chars):
        into.characters.append(node.codes & PRINTABLE)
        into.after.append(set())
        here = frozenset({len(into.characters) - 1})
        return here, here, False
    if isinstance(node, Capture | Special):
        return _build(node.part, into)
    if isinstance(node, Choice):
        parts = [_build(option, into) for option in node.options]
        return _union(part[0] for part in parts), _union(part[1] for part in parts), any(part[2] for part in parts)
    if isinstance(node, Sequence):
        return _chain([_build(part, into) for part in node.parts], into)
    if isinstance(node, Repeat):
        return _repeated(node, into)
    assert isinstance(node, Anchor)
    return frozenset(), frozenset(), True


def _repeated(node: Repeat, into: Automaton) -> Ends:
    copies = max(node.least, 1) if node.most is None else node.most
    parts = []
    for copy in range(copies):
        first, last, empty = _build(node.part, into)
        if node.most is None and copy == copies - 1:
            _link(last, first, into, looping=True)
        parts.append((first, last, empty or copy >= node.least))
    return _chain(parts, into)


def _chain(parts: list[Ends], into: Automaton) -> Ends:
    first: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    empty = True
    for start, end, nothing in parts:
        _link(last, start, into)
        first = first | start if empty else first
        last = last | end if nothing else end
        empty = empty and nothing
    return first, last, empty


def _link(last: Iterable[int], first: frozenset[int], into: Automaton, *, looping: bool = False) -> None:
    for position in last:
        into.doubled |= looping and bool(into.after[position] & first)
        into.after[position] |= first


def _union(parts: Iterable[frozenset[int]]) -> frozenset[int]:
    return frozenset().union(*parts)


def common_name(one: Automaton, other: Automaton) -> str | None:
    """A shortest name that both match, None where there is none, or none was found in time."""
    if one.empty and other.empty:
        return ""
    came: dict[tuple[int, int], tuple[int, int] | None] = {}
    queue: deque[tuple[int, int]] = deque()

    def reach(firsts: Iterable[int], seconds: Iterable[int], back: tuple[int, int] | None) -> tuple[int, int] | None:
        for p in firsts:
            for q in seconds:
                if (p, q) not in came and one.characters[p] & other.characters[q]:
                    came[p, q] = back
                    queue.append((p, q))
                    if p in one.last and q in other.last:
                        return p, q
        return None

    end = reach(one.first, other.first, None)
    while end is None and queue and len(came) < MOST_STATES:
        pair = queue.popleft()
        end = reach(one.after[pair[0]], other.after[pair[1]], pair)
    name = ""
    while end is not None:
        name = _shown(one.characters[end[0]] & other.characters[end[1]]) + name
        end = came[end]
        if end is None:
            return name
    return None


def _shown(codes: frozenset[int]) -> str:
    return next((c for c in _PREFERRED if ord(c) in codes), chr(min(codes)))


def holds(larger: Automaton, smaller: Automaton) -> bool:
    """Whether every name that ``smaller`` matches, ``larger`` matches too; False where that takes too long."""
    if smaller.empty and not larger.empty:
        return False
    start = (-1, larger.first)
    seen = {start}
    queue = deque([start])
    while queue:
        position, ahead = queue.popleft()
        for p in smaller.first if position < 0 else smaller.after[position]:
            for taken in {
                frozenset(q for q in ahead if code in larger.characters[q]) for code in smaller.characters[p]
            }:
                if p in smaller.last and not taken & larger.last:
                    return False
                state = (p, _union(frozenset(larger.after[q]) for q in taken))
                if not taken or len(seen) > MOST_STATES:
                    return False
                if state not in seen:
                    seen.add(state)
                    queue.append(state)
    return True


def explodes(language: Automaton) -> bool:
    """Whether some names are matched in exponentially many ways: what makes a backtracking engine hang.

    That is so where two different paths, taking the same characters, lead from a state back to itself.
    """
    return language.doubled or any(_two_ways_back(start, language) for start in range(len(language.characters)))


def _two_ways_back(start: int, language: Automaton) -> bool:
    """Whether two different paths over the same characters lead from a state back to it."""
    loop = _reachable(start, language.after) & _reachable(start, _turned(language.after))
    after = [ahead & loop for ahead in language.after]
    seen: set[tuple[int, int, bool]] = set()
    queue = deque([(start, start, False)])
    while queue:
        one, other, apart = queue.popleft()
        for p in after[one]:
            for q in after[other]:
                state = (p, q, apart or p != q)
                if state not in seen and language.characters[p] & language.characters[q]:
                    seen.add(state)
                    queue.append(state)
    return (start, start, True) in seen


def _reachable(start: int, after: list[set[int]]) -> set[int]:
    """States that one step or several lead to."""
    reached: set[int] = set()
    queue = [start]
    while queue:
        new = after[queue.pop()] - reached
        reached |= new
        queue += new
    return reached


def _turned(after: list[set[int]]) -> list[set[int]]:
    before: list[set[int]] = [set() for _ in after]
    for position, ahead in enumerate(after):
        for other in ahead:
            before[other].add(position)
    return before
