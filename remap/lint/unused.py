"""Findings about what is declared and never used, and about names on the target side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from remap.layout.expression import source_patterns
from remap.lint.finding import LintFinding
from remap.rules.expression import captures
from remap.rules.rulefile import Rule, RuleFile
from remap.rules.schema import Rename
from remap.rules.template import parse_template

_AUTOMATIC = re.compile(
    r"(?:conv[123]d(?:_transpose)?|depthwise_conv[12]d|separable_conv[12]d|dense|embedding|lstm|gru|simple_rnn|"
    r"(?:batch|layer|group|unit)_normalization|multi_head_attention)_(?:\d+|\{[^}]*\})(?=/|$)"
)


def unused_captures(rules: RuleFile) -> Iterator[LintFinding]:
    """R201: a capture that no template and no layout uses."""
    for rule in rules.renames:
        used = _names(rule)
        layout = rules.layout_of(rule.spec)
        used |= {expression.stack for expression in layout.values() if expression.stack}
        for name in captures(rule.spec.match):
            if name not in used:
                yield _capture(name, rule, f"'to' does not say {{{name}}}: every {name} would go to one place")
        if rule.spec.layout not in rules.layout_places:
            continue  # a built-in one captures what a module may have one of alone
        inner = {name for expression in layout.values() for p in source_patterns(expression) for name in captures(p)}
        for name in sorted(inner - used):
            yield _capture(name, rule, f"layout '{rule.spec.layout}' captures {name}, and 'to' does not say {{{name}}}")


def _names(rule: Rule[Rename]) -> set[str]:
    to = rule.spec.to
    return {name for text in ([to] if isinstance(to, str) else to) for name in parse_template(text).names}


def _capture(name: str, rule: Rule[Rename], message: str) -> LintFinding:
    return LintFinding(
        "R201",
        message,
        rule.place.of("match"),
        f"use {{{name}}} in 'to', or write \\d+ or (?:...) in its place",
        text=f"<{name}>",
    )


def unused_layouts(rules: RuleFile) -> Iterator[LintFinding]:
    """R203: a layout that no rule names."""
    used = {rule.spec.layout for rule in rules.renames}
    for name, place in rules.layout_places.items():
        if name not in used and place.path == rules.path:
            yield LintFinding("R203", f"no rule has layout '{name}'", place, "remove it, or name it in a rule")


def unused_tables(rules: RuleFile) -> Iterator[LintFinding]:
    """R204: a table that no template looks into."""
    templates = [text for rule in rules.renames for text in _listed(rule.spec.to)]
    templates += [rule.spec.to for rule in rules.derives]
    used = {table for text in templates for table in parse_template(text).tables}
    for name, place in rules.table_places.items():
        if name not in used and place.path == rules.path:
            yield LintFinding(
                "R204", f"no template looks into table '{name}'", place, f"remove it, or say {{{name}[...]}}"
            )


def unused_params(rules: RuleFile) -> Iterator[LintFinding]:
    """R205: a parameter that no size, template, axis or setting names."""
    used = {rule.spec.layout for rule in rules.renames}
    specs: list[Any] = [*(rule.spec for rule in rules.renames), *(rule.spec for rule in rules.derives)]
    specs += [rule.batchnorm for rule in rules.renames]
    specs += [expression for name in used if name is not None for expression in rules.layouts[name].values()]
    words = {word for spec in specs for text in _texts(msgspec.to_builtins(spec)) for word in re.findall(r"\w+", text)}
    for name, place in rules.param_places.items():
        if name not in words and place.path == rules.path:
            yield LintFinding(
                "R205", f"nothing uses parameter '{name}'", place, "remove it, or name it in 'sizes' or 'to'"
            )


def automatic_names(rules: RuleFile) -> Iterator[LintFinding]:
    """R303: a layer that Keras numbers by itself, by a number that drifts."""
    for rule in rules.renames:
        for text in _listed(rule.spec.to):
            match = _AUTOMATIC.match(text)  # below a scope such names are mostly given by hand
            if match is not None:
                base = re.sub(r"_(?:\d+|\{[^}]*\})$", "", match[0])
                yield LintFinding(
                    "R303",
                    f"Keras numbers '{base}' layers by itself, and the numbers drift",
                    rule.place.of("to"),
                    f"write its rank among them: {base}[0], {base}[{{i}}]",
                    text=match[0],
                )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield str(key)
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)


UNUSED_CHECKS = (unused_captures, unused_layouts, unused_tables, unused_params, automatic_names)
"""Every check of a rule file by its names."""
