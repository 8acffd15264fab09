"""Rules of one file inside of another: prefixes in front of both sides, and parts that may be absent."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import msgspec

from remap.rules import schema
from remap.rules.place import Place
from remap.rules.rulefile import IncludedPart, Rule, RuleFile


def included(file: RuleFile, include: schema.Include, place: Place) -> RuleFile:
    """The file as it is included at a place.

    The include's ``prefix`` and ``to_prefix`` stand in front of what its rules match and write; with ``absent``, they
    belong to one part that may be missing.
    """
    if not include.prefix and not include.to_prefix and not include.absent:
        return file
    replace = msgspec.structs.replace
    part = IncludedPart(place, include.absent) if include.absent else None

    def target(to: str | list[str]) -> str | list[str]:
        return [include.to_prefix + each for each in to] if isinstance(to, list) else include.to_prefix + to

    def moved(rule: Rule[Any]) -> Rule[Any]:
        spec = rule.spec
        if isinstance(spec, schema.Rename):
            # a rule for the root module has no name to put a dot before
            prefix = include.prefix if spec.match or spec.layout is None else include.prefix.removesuffix("\\.")
            spec = replace(spec, match=_joined(prefix, spec.match), to=target(spec.to))
        elif isinstance(spec, schema.Ignore):
            spec = replace(spec, match=_joined(include.prefix, spec.match))
        elif isinstance(spec, schema.Derive):
            spec = _derived_below(include.prefix, spec)
        else:
            spec = replace(spec, match=_joined(re.escape(include.to_prefix), spec.match))
        return Rule(spec, rule.place, rule.batchnorm, rule.part or part)

    return dataclasses.replace(
        file,
        renames=tuple(map(moved, file.renames)),
        ignores=tuple(map(moved, file.ignores)),
        keeps=tuple(map(moved, file.keeps)),
        fills=tuple(map(moved, file.fills)),
        derives=tuple(map(moved, file.derives)),
    )


def _derived_below(prefix: str, spec: schema.Derive) -> schema.Derive:
    """The rule with what ``prefix`` matches in front of its inputs and, as it was matched, of its result."""
    if not prefix:
        return spec
    name = "prefix"
    while any(f"(?P<{name}>" in pattern for pattern in spec.sources.values()):
        name += "_"
    sources = {role: _joined(f"(?P<{name}>{prefix})", pattern) for role, pattern in spec.sources.items()}
    return msgspec.structs.replace(spec, sources=sources, to=f"{{{name}}}{spec.to}")


def _joined(prefix: str, pattern: str) -> str:
    return f"{prefix}(?:{pattern})" if prefix else pattern
