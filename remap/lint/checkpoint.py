"""Findings about a rule file and a checkpoint together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from remap.lint.finding import LintFinding
from remap.planning.link import Link, has_sources
from remap.planning.match import Claims
from remap.planning.suggest import Nearest, grouped
from remap.rules.rulefile import Rule, RuleFile
from remap.rules.schema import Rename
from remap.tensors.tensor import Checkpoint

_NUMBER = re.compile(r"\d+")


def never_fires(rules: RuleFile, checkpoint: Checkpoint, claims: Claims) -> Iterator[LintFinding]:
    """R101: a rule that matches no key, and does not say that this is fine."""
    near = Nearest(checkpoint)
    for rule in claims.idle:
        close = near.to(re.sub(r"[\\()?:<>+*]|P<\w+>", "", rule.spec.match), 1)
        yield LintFinding(
            "R101",
            f"'{rule.spec.match}' matches no tensor{f'; closest: {close[0]}' if close else ''}",
            rule.place.of("match"),
            "check the pattern, or say optional = true",
            "error",
        )


def contested(rules: RuleFile, checkpoint: Checkpoint, claims: Claims) -> Iterator[LintFinding]:
    """R102: keys of this checkpoint that several rules claim; once for each set of rules."""
    seen: set[tuple[int, ...]] = set()
    for key, owners in claims.contested:
        same = tuple(id(rule) for rule in owners)
        if same not in seen:
            seen.add(same)
            others = ", ".join(f"'{rule.spec.match}' at {rule.place}" for rule in owners[:-1])
            yield LintFinding(
                "R102",
                f"'{owners[-1].spec.match}' and {others} claim '{key}'",
                owners[-1].place.of("match"),
                "narrow one of the patterns: a key belongs to one rule",
                "error",
            )


def part_of_a_series(rules: RuleFile, checkpoint: Checkpoint, claims: Claims) -> Iterator[LintFinding]:
    """R104: keys that no rule claims, though a rule claims others that differ in numbers alone."""
    owners: dict[str, tuple[Rule[Rename], str]] = {}
    for link in claims.links:
        for key in link.claimed():
            owners.setdefault(_NUMBER.sub("#", key), (link.rule, key))
    seen = set()
    for pattern, members in grouped(claims.unclaimed):
        owner = owners.get(_NUMBER.sub("#", members[0]))
        if owner is not None and id(owner[0]) not in seen:
            rule, sample = owner
            seen.add(id(rule))
            yield LintFinding(
                "R104",
                f"'{rule.spec.match}' claims {sample} but not {pattern}",
                rule.place.of("match"),
                "let the pattern take every number: <name>, or \\d+",
                "error",
            )


def unneeded_fills(rules: RuleFile, checkpoint: Checkpoint, claims: Claims) -> Iterator[LintFinding]:
    """R206: a variable that a rule would fill, and that every module has a tensor for."""
    modules: dict[int, list[Link]] = {}
    for link in claims.links:
        modules.setdefault(id(link.rule), []).append(link)
    for rule in rules.renames:
        links = modules.get(id(rule), [])
        for i, variable in enumerate(rule.spec.fill):
            if links and all(has_sources(link.sources(variable), link.expressions[variable]) for link in links):
                yield LintFinding(
                    "R206",
                    f"every module of '{rule.spec.match}' has a tensor for '{variable}'",
                    rule.place.of("fill", i),
                    f"leave '{variable}' out of 'fill'",
                )


CHECKPOINT_CHECKS = (never_fires, contested, part_of_a_series, unneeded_fills)
"""Every check of a rule file against a checkpoint."""
