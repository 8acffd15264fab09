"""Which rule claims which source tensor: every key to exactly one rule, rules grouped by module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from remap.layout.expression import source_patterns
from remap.rules.pattern import Patterns
from remap.rules.rulefile import Rule, RuleFile
from remap.rules.schema import Ignore, Rename

_MODULE = "remap_module"
Stacked = tuple[int, ...]


@dataclass(slots=True)
class Group:
    """The tensors that one rule moves together: those of one module, with one set of captures.

    Args:
        rule: The rule.
        module: Path of the module; the whole key for a rule without a layout.
        captures: What the rule and its layout captured, stacked indices left out.
        tensors: For each source pattern of the layout, the keys it matched by stacked index
            (-1 where nothing is stacked).
    """

    rule: Rule[Rename]
    module: str
    captures: Mapping[str, str]
    tensors: dict[str, dict[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claims:
    """The outcome of matching.

    Args:
        groups: In the order in which the checkpoint first names them.
        ignored: Key and the rule that ignores it.
        unclaimed: Keys that no rule claims.
        contested: Keys that several rules claim, with those rules.
        idle: Rules that matched nothing, are not optional, and stand in no part that is missing.
        doubled: Pairs of keys that one source pattern of one module fits alike, with the rule.
    """

    groups: list[Group]
    ignored: list[tuple[str, Rule[Ignore]]]
    unclaimed: list[str]
    contested: list[tuple[str, list[Rule[Rename] | Rule[Ignore]]]]
    idle: list[Rule[Rename] | Rule[Ignore]]
    doubled: list[tuple[str, str, Rule[Rename]]]


@dataclass(frozen=True, slots=True)
class Claim:
    """One regex that claims whole keys.

    Args:
        rule: The rule that it is for.
        pattern: The regex, the module's and the tensor's part together.
        source: With a layout, the source pattern of the layout.
        stacks: Captures that a stack is gathered over.
    """

    rule: Rule[Rename] | Rule[Ignore]
    pattern: str
    source: str = ""
    stacks: tuple[str, ...] = ()


def match_keys(rules: RuleFile, keys: Iterable[str]) -> Claims:
    r"""Hold every key against every rule, in time linear in the keys.

    A rule with a layout claims ``module.tensor`` where its ``match`` fits the whole of ``module`` and
    one of the layout's source patterns the whole of ``tensor``.

    Raises:
        PatternError: A pattern ran out of time.
    """
    claims = claims_of(rules)
    patterns = Patterns(claim.pattern for claim in claims)
    groups: dict[tuple[int, str, tuple[str, ...]], Group] = {}
    found = Claims([], [], [], [], [], [])
    fired: set[int] = set()
    for key in keys:
        hits = patterns.match(key)
        owners = {id(claims[hit].rule): claims[hit].rule for hit in hits}
        fired.update(owners)
        if not hits:
            found.unclaimed.append(key)
        elif len(owners) > 1:
            found.contested.append((key, list(owners.values())))
        else:
            claim = claims[hits[0]]
            if isinstance(claim.rule.spec, Ignore):
                found.ignored.append((key, claim.rule))
            else:
                other = _join(groups, claim, key, patterns.captures(hits[0], key))
                if other is not None:
                    found.doubled.append((other, key, claim.rule))
    found.groups.extend(groups.values())
    every: list[Rule[Rename] | Rule[Ignore]] = [*rules.renames, *rules.ignores]
    there = {rule.part for rule in every if id(rule) in fired}
    found.idle.extend(
        rule
        for rule in every
        if id(rule) not in fired and not rule.spec.optional and (rule.part is None or rule.part in there)
    )
    return found


def claims_of(rules: RuleFile) -> list[Claim]:
    """Everything that a rule file claims keys by, in the order of its rules."""
    claims = [claim for rename in rules.renames for claim in _rename_claims(rename, rules)]
    return claims + [Claim(ignore, ignore.spec.match) for ignore in rules.ignores]


def _rename_claims(rule: Rule[Rename], rules: RuleFile) -> list[Claim]:
    if rule.spec.layout is None:
        return [Claim(rule, rule.spec.match)]
    layout = rules.layout_of(rule.spec)
    module = f"(?P<{_MODULE}>{rule.spec.match})\\." if rule.spec.match else ""
    stacks: dict[str, set[str]] = {}
    for expression in layout.values():
        for pattern in source_patterns(expression):
            stacks.setdefault(pattern, set()).update({expression.stack} if expression.stack else ())
    return [Claim(rule, f"{module}(?:{pattern})", pattern, tuple(sorted(names))) for pattern, names in stacks.items()]


def _join(
    groups: dict[tuple[int, str, tuple[str, ...]], Group], claim: Claim, key: str, captures: dict[str, str]
) -> str | None:
    """Add a key to the group of its module and captures; the key whose place it took, if there was one."""
    rule: Rule[Rename] = claim.rule  # type: ignore[assignment]
    module = captures.pop(_MODULE, "") if rule.spec.layout is not None else key
    index = -1
    for name in claim.stacks:
        index = int(captures.pop(name) or -1)
    same = (id(rule), module, tuple(captures.values()))
    group = groups.get(same)
    if group is None:
        group = groups[same] = Group(rule, module, captures)
    places = group.tensors.setdefault(claim.source, {})
    other = places.get(index)
    places[index] = key
    return other
