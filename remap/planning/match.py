"""Which rule claims which source tensor: every key to exactly one rule, rules grouped by module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from remap.layout.expression import Layout, source_patterns
from remap.planning.link import Link
from remap.planning.params import Scalar
from remap.rules.pattern import Patterns
from remap.rules.rulefile import Rule, RuleFile
from remap.rules.schema import Ignore, Rename
from remap.rules.template import TemplateError, parse_template

_MODULE = "remap_module"
_Found = dict[tuple[int, str, tuple[str, ...]], Link]
"""Links by rule, module and captures."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The outcome of matching.

    Args:
        links: In the order in which the checkpoint first names them; their variables are not settled yet.
        ignored: Key and the rule that ignores it.
        unclaimed: Keys that no rule claims.
        contested: Keys that several rules claim, with those rules.
        idle: Rules that matched nothing, are not optional, and stand in no part that is missing.
        doubled: Pairs of keys that one source pattern of one module fits alike, with the rule.
        unnamed: Modules whose layer cannot be named, with the rule and the reason.
    """

    links: list[Link] = field(default_factory=list)
    ignored: list[tuple[str, Rule[Ignore]]] = field(default_factory=list)
    unclaimed: list[str] = field(default_factory=list)
    contested: list[tuple[str, list[Rule[Rename] | Rule[Ignore]]]] = field(default_factory=list)
    idle: list[Rule[Rename] | Rule[Ignore]] = field(default_factory=list)
    doubled: list[tuple[str, str, Rule[Rename]]] = field(default_factory=list)
    unnamed: list[tuple[str, Rule[Rename], str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Claim:
    """One regex that claims whole keys.

    Args:
        rule: The rule that it is for.
        pattern: The regex, the module's and the tensor's part together.
        layout: The layout of a rule that moves tensors.
        source: The source pattern of the layout.
        stacks: Captures that a stack is gathered over.
    """

    rule: Rule[Rename] | Rule[Ignore]
    pattern: str
    layout: Layout = field(default_factory=dict)
    source: str = ""
    stacks: tuple[str, ...] = ()


def match_keys(rules: RuleFile, keys: Iterable[str], params: Mapping[str, Scalar] | None = None) -> Claims:
    """Hold every key against every rule, and name the layers that they go to.

    Args:
        rules: The rules.
        keys: The keys.
        params: Values of parameters, which names of layers may say.

    Raises:
        PatternError: A pattern ran out of time.
    """
    claims = claimed_keys(rules, keys)
    links = list(claims.links)
    claims.links.clear()
    _name_layers(links, rules, params or {}, claims)
    return claims


def claimed_keys(rules: RuleFile, keys: Iterable[str]) -> Claims:
    """Hold every key against every rule, in time linear in the keys; the layers of links are not named.

    A rule with a layout claims ``module.tensor`` where its ``match`` fits the whole of ``module`` and
    one of the layout's source patterns the whole of ``tensor``.

    Raises:
        PatternError: A pattern ran out of time.
    """
    claims = claims_of(rules)
    patterns = Patterns(claim.pattern for claim in claims)
    links: _Found = {}
    outcome = Claims()
    fired: set[int] = set()
    for key in keys:
        hits = patterns.match(key)
        owners = {id(claims[hit].rule): claims[hit].rule for hit in hits}
        fired.update(owners)
        if not hits:
            outcome.unclaimed.append(key)
        elif len(owners) > 1:
            outcome.contested.append((key, list(owners.values())))
        else:
            claim = claims[hits[0]]
            if isinstance(claim.rule.spec, Ignore):
                outcome.ignored.append((key, claim.rule))
            else:
                other = _join(links, claim, key, patterns.captures(hits[0], key))
                if other is not None:
                    outcome.doubled.append((other, key, claim.rule))
    outcome.links.extend(links.values())
    every: list[Rule[Rename] | Rule[Ignore]] = [*rules.renames, *rules.ignores]
    there = {rule.part for rule in every if id(rule) in fired}
    outcome.idle.extend(
        rule
        for rule in every
        if id(rule) not in fired and not rule.spec.optional and (rule.part is None or rule.part in there)
    )
    return outcome


def claims_of(rules: RuleFile) -> list[Claim]:
    """Everything that a rule file claims keys by, in the order of its rules."""
    claims = [claim for rename in rules.renames for claim in _rename_claims(rename, rules)]
    return claims + [Claim(ignore, ignore.spec.match) for ignore in rules.ignores]


def _rename_claims(rule: Rule[Rename], rules: RuleFile) -> list[Claim]:
    layout = rules.layout_of(rule.spec)
    if rule.spec.layout is None:
        return [Claim(rule, rule.spec.match, layout)]
    module = f"(?P<{_MODULE}>{rule.spec.match})\\." if rule.spec.match else ""
    stacks: dict[str, set[str]] = {}
    for expression in layout.values():
        for pattern in source_patterns(expression):
            stacks.setdefault(pattern, set()).update({expression.stack} if expression.stack else ())
    return [
        Claim(rule, f"{module}(?:{pattern})", layout, pattern, tuple(sorted(names)))
        for pattern, names in stacks.items()
    ]


def _join(links: _Found, claim: Claim, key: str, captures: dict[str, str]) -> str | None:
    """Add a key to the link of its module and captures; the key whose place it took, if there was one."""
    rule: Rule[Rename] = claim.rule  # type: ignore[assignment]
    module = captures.pop(_MODULE, "") if rule.spec.layout is not None else key
    index = -1
    for name in claim.stacks:
        index = int(captures.pop(name) or -1)
    same = (id(rule), module, tuple(captures.values()))
    link = links.get(same)
    if link is None:
        link = links[same] = Link(rule, module, captures, "", claim.layout)
    places = link.tensors.setdefault(claim.source, {})
    other = places.get(index)
    places[index] = key
    return other


def _name_layers(links: Iterable[Link], rules: RuleFile, params: Mapping[str, Scalar], outcome: Claims) -> None:
    """Fill in the layers of links; one whose rule writes several layers becomes several, each its part of a split."""
    texts = {name: str(value) for name, value in params.items()}
    parts = {id(rule): rules.layouts_of(rule.spec) for rule in rules.renames if rule.spec.split}
    for link in links:
        captures = {**texts, **link.captures} if texts else link.captures
        to = link.rule.spec.to
        for number, template in enumerate([to] if isinstance(to, str) else to):
            try:
                layer = parse_template(template).fill(captures, rules.tables)
            except TemplateError as error:
                outcome.unnamed.append((link.module, link.rule, f"'{template}': {error}"))
                continue
            own = link if number == 0 else replace(link, entries={})
            own.layer = layer
            if own.rule.spec.split:
                own.expressions, own.part = parts[id(own.rule)][number], number + 1
            outcome.links.append(own)
