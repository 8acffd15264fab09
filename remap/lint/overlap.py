"""Findings about rules that claim the same tensors, from the patterns alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from remap.lint.finding import LintFinding
from remap.planning.match import Claim, claims_of
from remap.rules.automaton import Automaton, automaton, common_name, holds, regular
from remap.rules.pattern import expand
from remap.rules.rulefile import RuleFile
from remap.rules.schema import Ignore
from remap.rules.syntax import parse_regex


def overlaps(rules: RuleFile) -> Iterator[LintFinding]:
    """R102 and R103: pairs of rules that can claim one key, with such a key; once for each pair.

    Two rules of [ignore] that merely touch are passed over: a checkpoint that has such a key is rare, and told of.
    """
    by_rule: dict[int, list[tuple[Claim, Automaton]]] = {}
    for claim in claims_of(rules):
        tree = parse_regex(expand(claim.pattern))
        if regular(tree):
            by_rule.setdefault(id(claim.rule), []).append((claim, automaton(tree)))
    for ones, others in combinations(by_rule.values(), 2):
        name = next((n for _, a in ones for _, b in others if (n := common_name(a, b)) is not None), None)
        if name is not None:
            yield from _findings(ones, others, name)


def _findings(
    ones: list[tuple[Claim, Automaton]], others: list[tuple[Claim, Automaton]], name: str
) -> Iterator[LintFinding]:
    for inner, outer in ((ones, others), (others, ones)):
        if all(any(holds(larger, smaller) for _, larger in outer) for _, smaller in inner):
            shadowed, by = inner[0][0].rule, outer[0][0].rule
            yield LintFinding(
                "R103",
                f"'{by.spec.match}' at {by.place} claims all that '{shadowed.spec.match}' does: '{name}'",
                shadowed.place.of("match"),
                "remove one, or narrow the wider pattern",
            )
            return
    first, second = ones[0][0].rule, others[0][0].rule
    if isinstance(first.spec, Ignore) and isinstance(second.spec, Ignore):
        return
    yield LintFinding(
        "R102",
        f"'{second.spec.match}' and '{first.spec.match}' at {first.place} can both claim '{name}'",
        second.place.of("match"),
        "narrow one of the patterns: a key belongs to one rule",
    )


OVERLAP_CHECKS = (overlaps,)
"""Every check of rules against each other."""
