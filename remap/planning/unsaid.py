"""Captures of a layout that tell its layers apart and that the rule's name of the layer does not say."""

from __future__ import annotations

from collections.abc import Iterable

from remap.planning.link import Link
from remap.rules.rulefile import Rule
from remap.rules.schema import Rename
from remap.rules.template import parse_template

_DIRECTION = "reverse"
"""What the built-in recurrent layouts call the direction: empty, or ``_reverse``."""


def varying_captures(links: Iterable[Link]) -> dict[int, tuple[str, ...]]:
    """By the identity of its rule, what differs between links of one module and stands in no template of ``to``."""
    values: dict[tuple[int, str], dict[str, set[str]]] = {}
    rules: dict[int, Rule[Rename]] = {}
    for link in links:
        rules[id(link.rule)] = link.rule
        of_module = values.setdefault((id(link.rule), link.module), {})
        for name, value in link.captures.items():
            of_module.setdefault(name, set()).add(value)
    unsaid: dict[int, tuple[str, ...]] = {}
    for (rule, _), captures in values.items():
        varying = [name for name, seen in captures.items() if len(seen) > 1]
        if varying and (left := [name for name in varying if name not in _said(rules[rule])]):
            unsaid[rule] = tuple(left)
    return unsaid


def _said(rule: Rule[Rename]) -> set[str]:
    to = rule.spec.to
    return {name for text in ([to] if isinstance(to, str) else to) for name in parse_template(text).names}


def unsaid_fix(rule: Rule[Rename], names: Iterable[str]) -> str:
    """What to write in ``to``, with the table of both directions where it is for a recurrent layer."""
    to = rule.spec.to if isinstance(rule.spec.to, str) else rule.spec.to[0]
    said = "".join(f"{{{name}}}" for name in names if name != _DIRECTION)
    if _DIRECTION not in names:
        return f"layout '{rule.spec.layout}' captures what tells the layers apart: to = '{to}{said}' at {rule.place}"
    return (
        f"the module has two directions: to = '{to}{said}/{{directions[reverse]}}_NAME' at {rule.place}, NAME being "
        f'the layer inside of Bidirectional, and [tables.directions] "" = "forward", _reverse = "backward"'
    )
