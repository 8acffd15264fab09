"""A plan as rows: repeated blocks on one line, both sides of the account counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from remap.planning.plan import Assignment, EpsilonOrigin, Plan
from remap.planning.suggest import grouped, pattern_of
from remap.report.pairs import paired_patterns


@dataclass(frozen=True, slots=True)
class AccountRow:
    """What one rule moves.

    Args:
        source: Modules, numbers as ranges: ``layer{1..4}.{0..5}.conv{1..3}``.
        target: Keras layers, likewise; what stands in one place of both belongs together.
        layout: The layout.
        modules: How many modules.
        variables: How many Keras variables.
        nbytes: Bytes written.
        place: The rule's file and line.
    """

    source: str
    target: str
    layout: str
    modules: int
    variables: int
    nbytes: int
    place: str


@dataclass(frozen=True, slots=True)
class Settled:
    """Names that are dealt with for one reason: ignored, filled or kept."""

    kind: str
    names: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """Both sides, counted."""

    sources: int
    used: int
    ignored: int
    variables: int
    moved: int
    filled: int
    kept: int
    blind: int

    def lines(self) -> Iterator[str]:
        """The account in words, one line a side."""
        yield f"source: {self.sources} tensors = {self.used} used + {self.ignored} ignored"
        yield f"target: {self.variables} variables = {self.moved} moved + {self.filled} filled + {self.kept} kept"


def rows(plan: Plan) -> list[AccountRow]:
    """One row for each rule that moves something, in the order of the plan."""
    by_rule: dict[tuple[Path, int, str], list[Assignment]] = {}
    for assignment in plan.assignments:
        if assignment.link is not None:
            place = assignment.place
            by_rule.setdefault((place.path, place.line, assignment.layout), []).append(assignment)
    return [_row(members) for members in by_rule.values()]


def _row(members: list[Assignment]) -> AccountRow:
    pairs = list(dict.fromkeys((member.module or "(root)", member.layer) for member in members))
    source, target = paired_patterns(pairs)
    modules = len({module for module, _ in pairs})
    first = members[0]
    place = f"{first.place.path.name}:{first.place.line}"
    nbytes = sum(member.nbytes for member in members)
    return AccountRow(source, target, first.layout, modules, len(members), nbytes, place)


def settled(plan: Plan) -> list[Settled]:
    """What is ignored, filled and kept, by reason."""
    names: dict[tuple[str, str], list[str]] = {}
    for ignored in plan.ignored:
        names.setdefault(("ignored", ignored.reason), []).append(ignored.name)
    for assignment in plan.assignments:
        if assignment.kind != "moved":
            reason = "asked for by the rule" if assignment.link is not None else assignment.reason
            names.setdefault((assignment.kind, reason), []).append(assignment.name)
    return [Settled(kind, _named(members), len(members), reason) for (kind, reason), members in names.items()]


def account(plan: Plan) -> Account:
    """Both sides of the account."""
    kinds = [assignment.kind for assignment in plan.assignments]
    return Account(
        sources=len(plan.checkpoint),
        used=len(plan.checkpoint) - len(plan.ignored),
        ignored=len(plan.ignored),
        variables=len(kinds),
        moved=kinds.count("moved"),
        filled=kinds.count("filled"),
        kept=kinds.count("kept"),
        blind=sum(assignment.blindness is not None for assignment in plan.assignments),
    )


def epsilon_lines(plan: Plan) -> Iterator[str]:
    """What is done about differing BatchNorm epsilons, equal cases together."""
    counts = Counter((mismatch.source, mismatch.target, mismatch.action, mismatch.origin) for mismatch in plan.epsilons)
    for (source, target, action, origin), count in counts.items():
        done = "folded in exactly" if action == "fold" else "accepted: outputs differ by it"
        told = {EpsilonOrigin.ASSUMED: " (assumed)", EpsilonOrigin.MODULE: " (read from the module)"}.get(origin, "")
        yield f"BatchNorm epsilon {source:g}{told} here, {target:g} in Keras, {count} layers: {done}"


def blind_lines(plan: Plan) -> Iterator[str]:
    """How many variables have a shape that a wrong layout would keep, by cause."""
    headings = (assignment.blindness.heading for assignment in plan.assignments if assignment.blindness is not None)
    for heading, count in Counter(headings).items():
        yield f"shape cannot check this: {count} variables ({heading})"


def _named(names: Iterable[str]) -> str:
    """All names in one pattern where they differ in numbers only, else the first patterns."""
    names = list(names)
    if len(names) == 1:
        return names[0]
    groups = grouped(names)
    shown = [pattern_of(members) for _, members in groups[:2]]
    return ", ".join(shown) + (f", ... ({len(groups)} patterns)" if len(groups) > 2 else "")
