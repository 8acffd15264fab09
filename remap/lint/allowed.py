"""Findings that a rule file answers: ``allow = ["R402: reason"]``, for a rule or for the whole file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remap.lint.finding import CODES, LintFinding
from remap.rules.place import Place
from remap.rules.rulefile import Rule, RuleFile

OF_CHECKPOINT = {"R101", "R102", "R104", "R206", "R401", "R402"}
"""Codes that need a checkpoint: without one, nobody knows whether an answer is needed."""
_ANSWER = re.compile(r"\s*(R\d+)\s*:\s*(\S.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """One entry of an ``allow``.

    Args:
        text: What it says.
        place: Where.
        rule: Line of the rule that it is for; None for a whole file.
    """

    text: str
    place: Place
    rule: int | None = None

    @property
    def code(self) -> str:
        """The code that it answers; empty where it has another form, or gives no reason."""
        match = _ANSWER.fullmatch(self.text)
        return match[1] if match is not None and match[1] in CODES else ""


def answers(rules: RuleFile) -> list[Answer]:
    """Every entry of a rule file and of what it includes."""
    made = [Answer(text, place) for text, place in rules.allows]
    for rule in rules.renames:
        place = rule.place
        made += [Answer(text, place.of("allow", i), place.line) for i, text in enumerate(rule.spec.allow)]
    return made


def unanswered(rules: RuleFile, findings: Iterable[LintFinding], with_checkpoint: bool) -> Iterator[LintFinding]:
    """Findings that are not allowed, and R207 for each answer that is none or that nothing needs."""
    given = answers(rules)
    starts = _starts(rules)
    used: set[int] = set()
    for finding in findings:
        fitting = [
            number
            for number, answer in enumerate(given)
            if finding.level != "error" and answer.code == finding.code and _is_about(answer, finding.place, starts)
        ]
        used.update(fitting)
        if not fitting:
            yield finding
    for number, answer in enumerate(given):
        if number in used or answer.place.path != rules.path:
            continue
        if not answer.code:
            expected = "'CODE: reason', with a code of 'remap lint'"
            yield LintFinding("R207", f"'{answer.text}' is no answer", answer.place, f"write {expected}")
        elif with_checkpoint or answer.code not in OF_CHECKPOINT:
            yield LintFinding(
                "R207", f"there is no warning {answer.code} that '{answer.text}' answers", answer.place, "remove it"
            )


def _is_about(answer: Answer, place: Place, starts: dict[Path, Sequence[int]]) -> bool:
    if answer.place.path != place.path:
        return False
    if answer.rule is None:
        return True
    before = [line for line in starts.get(place.path, ()) if line <= place.line]
    return bool(before) and before[-1] == answer.rule


def _starts(rules: RuleFile) -> dict[Path, Sequence[int]]:
    """The lines at which rules, layouts, tables and parameters begin, by file."""
    every: list[Rule[Any]] = [*rules.renames, *rules.ignores, *rules.keeps, *rules.fills, *rules.derives]
    places = [rule.place for rule in every]
    places += [*rules.layout_places.values(), *rules.table_places.values(), *rules.param_places.values()]
    lines: dict[Path, set[int]] = {}
    for place in places:
        lines.setdefault(place.path, set()).add(place.line)
    return {path: sorted(numbers) for path, numbers in lines.items()}
