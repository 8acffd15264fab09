"""Findings about one pattern by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from remap.layout.expression import source_patterns
from remap.lint.finding import LintFinding
from remap.rules.automaton import automaton, explodes
from remap.rules.pattern import expand, needs_backtracking
from remap.rules.place import Place
from remap.rules.rulefile import RuleFile
from remap.rules.syntax import DIGITS, Anchor, Capture, Chars, Node, Repeat, Sequence, children, parse_regex, walk

_WRITTEN_OUT = re.compile(r"\(\?P<(\w+)>(?:\\d|\[0-9\])\+\)")
_LOOSE_DOT = re.compile(r"(?<!\\)\.(?![*+?{])")


@dataclass(frozen=True, slots=True)
class WrittenPattern:
    """A pattern as it stands in a rule file.

    Args:
        text: The pattern.
        place: Where it stands.
    """

    text: str
    place: Place

    @property
    def tree(self) -> Node:
        """The pattern as a tree."""
        return parse_regex(expand(self.text))


def written_patterns(rules: RuleFile) -> list[WrittenPattern]:
    """Every pattern of a rule file and of what it includes, in the order of the file."""
    patterns = [WrittenPattern(rule.spec.match, rule.place.of("match")) for rule in rules.renames]
    patterns += [WrittenPattern(rule.spec.match, rule.place.of("match")) for rule in rules.ignores]
    patterns += [WrittenPattern(rule.spec.match, rule.place.of("match")) for rule in rules.keeps]
    patterns += [WrittenPattern(rule.spec.match, rule.place.of("match")) for rule in rules.fills]
    for derive in rules.derives:
        patterns += [WrittenPattern(text, derive.place.of("from", name)) for name, text in derive.spec.sources.items()]
    for name, place in rules.layout_places.items():
        for variable, expression in rules.layouts[name].items():
            patterns += [WrittenPattern(text, place.of(variable, "from")) for text in source_patterns(expression)]
    return patterns


def exploding(pattern: WrittenPattern) -> Iterator[LintFinding]:
    """R105: names exist that the pattern matches in exponentially many ways."""
    if not explodes(automaton(pattern.tree)):
        return
    slow = needs_backtracking(pattern.text)
    how = (
        "look-around keeps it off the linear-time engine" if slow else "linear time here, but no other engine has that"
    )
    yield LintFinding(
        "R105",
        f"'{pattern.text}' can match one name in exponentially many ways ({how})",
        pattern.place,
        "repeat what cannot overlap itself: (\\d+\\.)+ instead of (\\d+\\.?)+",
        "error" if slow else "warning",
    )


def single_digit(pattern: WrittenPattern) -> Iterator[LintFinding]:
    """R104: one digit where a series goes on: ``layer_1`` but not ``layer_10``."""
    if _takes_one_digit(pattern.tree):
        yield LintFinding(
            "R104",
            f"'{pattern.text}' takes one digit: 1 but not 10",
            pattern.place,
            "write <name>, or \\d+; [1-9]\\d* for all but 0",
        )


def _takes_one_digit(node: Node) -> bool:
    """Whether a class of digits, taken once, has no other digit beside it."""
    if isinstance(node, Chars):
        # a class of few digits is meant so
        return node.codes <= DIGITS and len(node.codes) >= 9
    if isinstance(node, Repeat):
        return node.most == 1 and _takes_one_digit(node.part)
    if not isinstance(node, Sequence):
        return any(map(_takes_one_digit, children(node)))
    numeric = [False, *map(_numeric, node.parts), False]
    beside = [numeric[i] and (numeric[i - 1] or numeric[i + 1]) for i in range(1, len(numeric) - 1)]
    return any(_takes_one_digit(part) for part, more in zip(node.parts, beside, strict=True) if not more)


def _numeric(node: Node) -> bool:
    if isinstance(node, Chars):
        return node.codes <= DIGITS
    return isinstance(node, Repeat | Capture) and _numeric(node.part)


def loose_dot(pattern: WrittenPattern) -> Iterator[LintFinding]:
    """R106: an unescaped dot between names."""
    if _has_loose_dot(pattern.tree):
        match = _LOOSE_DOT.search(pattern.text)
        yield LintFinding(
            "R106",
            f"'.' in '{pattern.text}' stands for any character",
            pattern.place,
            "write \\. for a dot",
            text=pattern.text[match.start() : match.start() + 8] if match else "",
        )


def _has_loose_dot(node: Node) -> bool:
    if isinstance(node, Chars):
        return node.dot
    if isinstance(node, Repeat | Capture) and isinstance(node.part, Chars):
        return False
    return any(map(_has_loose_dot, children(node)))


def unnamed_group(pattern: WrittenPattern) -> Iterator[LintFinding]:
    """R202: a group that captures what nothing can name."""
    if any(isinstance(node, Capture) and not node.name for node in walk(pattern.tree)):
        yield LintFinding(
            "R202",
            f"a group of '{pattern.text}' has no name, so nothing can use it",
            pattern.place,
            "write (?:...) to group, or (?P<name>...) to capture",
        )


def written_out(pattern: WrittenPattern) -> Iterator[LintFinding]:
    """R301: an index written out where the shorthand says it."""
    match = _WRITTEN_OUT.search(pattern.text)
    if match is not None:
        yield LintFinding(
            "R301", f"'{match[0]}' is <{match[1]}>, written out", pattern.place, f"write <{match[1]}>", text=match[0]
        )


def anchored(pattern: WrittenPattern) -> Iterator[LintFinding]:
    """R302: an anchor; a pattern matches whole names without."""
    if any(isinstance(node, Anchor) and "BOUNDARY" not in node.word for node in walk(pattern.tree)):
        yield LintFinding(
            "R302",
            f"'{pattern.text}' is anchored, and matches whole names anyway",
            pattern.place,
            "leave out ^, $, \\A and \\Z",
        )


PATTERN_CHECKS = (exploding, single_digit, loose_dot, unnamed_group, written_out, anchored)
"""Every check of one pattern."""
