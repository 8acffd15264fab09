"""Near misses: the rules that come closest to a name, how far each gets, and what it wanted there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from remap.planning.link import variable_name
from remap.planning.match import claims_of
from remap.rules.automaton import Automaton, automaton
from remap.rules.pattern import expand
from remap.rules.place import Place
from remap.rules.rulefile import RuleFile
from remap.rules.syntax import parse_regex
from remap.rules.template import parse_template

WANTED_SHOWN = 4
NARROW = 10
"""Characters that a position may take and still say something: a literal, a digit."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that does not fit a name.

    Args:
        place: The rule's file and line.
        pattern: What the rule says, as written.
        matched: The part of the name that fits, from its start.
        rest: What is left of the name, where the rule fails.
        wanted: What could have stood there instead, in the rule's words; empty where the name could end.
        why: The failure in a sentence.
    """

    place: Place
    pattern: str
    matched: str
    rest: str
    wanted: tuple[str, ...]
    why: str


def near_sources(rules: RuleFile, name: str, count: int = 3) -> list[NearMiss]:
    """The rules that come closest to claiming a source tensor, best first, each rule once."""
    tries: dict[tuple[Place, str], list[str]] = {}
    for claim in claims_of(rules):
        tries.setdefault((claim.rule.place, claim.rule.spec.match), []).append(claim.pattern)
    return _best(name, tries, "it fits but for its look-around or back-references", count)


def near_targets(rules: RuleFile, name: str, count: int = 3) -> list[NearMiss]:
    """The rules that come closest to writing a Keras variable, best first, each rule once.

    A rule's templates are taken for patterns: a capture stands for any text, arithmetic for any number.
    """
    tries: dict[tuple[Place, str], list[str]] = {}
    for rule in rules.renames:
        for to in [rule.spec.to] if isinstance(rule.spec.to, str) else rule.spec.to:
            for entry in rules.layout_of(rule.spec):
                text = variable_name(to, entry)
                deeper = name.count("/") > text.count("/")
                names = parse_template(text).regex(rules.tables, "[^/]+", r"\d+")
                pattern = f"(?:[^/]+/)*{names}" if deeper else names
                tries.setdefault((rule.place, to), []).append(pattern)
    for place, match in [(rule.place, rule.spec.match) for rule in rules.keeps]:
        tries[place, match] = [match]
    for place, match in [(rule.place, rule.spec.match) for rule in rules.fills]:
        tries[place, match] = [match]
    return _best(name, tries, "its form fits, but no source tensor leads there", count)


@dataclass(frozen=True, slots=True)
class _Try:
    """How far one pattern gets: characters taken, how many of them were meant, what it wanted next."""

    taken: int
    meant: int
    wanted: tuple[str, ...]
    ends: bool


def _best(name: str, tries: Mapping[tuple[Place, str], list[str]], whole: str, count: int) -> list[NearMiss]:
    scored = []
    for (place, text), patterns in tries.items():
        made = [_try(name, automaton(parse_regex(expand(pattern)))) for pattern in patterns]
        best = max(made, key=lambda each: (each.meant, each.taken))
        alike = [each for each in made if each.taken == best.taken]
        wanted = tuple(dict.fromkeys(text for each in alike for text in each.wanted))
        ends = any(each.ends for each in alike)
        why = _why(name, best.taken, wanted, ends, whole)
        scored.append((best.meant, NearMiss(place, text, name[: best.taken], name[best.taken :], wanted, why)))
    scored.sort(key=lambda pair: -pair[0])
    furthest = scored[0][0] if scored else 0
    return [miss for meant, miss in scored[:count] if meant and 2 * meant >= furthest]


def _try(name: str, regex: Automaton) -> _Try:
    ahead = set(regex.first)
    ends = regex.empty
    meant = 0
    for at, character in enumerate(name):
        taken = {p for p in ahead if min(ord(character), 126) in regex.characters[p]}
        if not taken:
            return _Try(at, meant, _wanted(regex, ahead), ends)
        meant += any(len(regex.characters[p]) <= NARROW for p in taken)
        ends = bool(taken & regex.last)
        ahead = {q for p in taken for q in regex.after[p]}
    return _Try(len(name), meant, _wanted(regex, ahead), ends)


def _why(name: str, at: int, wanted: tuple[str, ...], ends: bool, whole: str) -> str:
    if at == len(name):
        return whole if ends else f"fits '{name}', then wants {_or(wanted)} where the name ends"
    upto = f"fits up to '{name[:at]}', then fails" if at else "fails"
    expected = " or ".join(part for part in (_or(wanted), "the end of the name" if ends else "") if part)
    return f"{upto} at '{name[at:]}': it wants {expected}"


def _or(wanted: tuple[str, ...]) -> str:
    shown = [f"'{text}'" for text in wanted[:WANTED_SHOWN]]
    return " or ".join([*shown, *(["more"] if len(wanted) > WANTED_SHOWN else [])])


def _wanted(regex: Automaton, ahead: Iterable[int]) -> tuple[str, ...]:
    """The texts that the positions ahead begin: literal runs as they are, a digit as ``0-9``."""
    return tuple(dict.fromkeys(_run(regex, position) for position in sorted(ahead)))


def _run(regex: Automaton, position: int) -> str:
    codes = regex.characters[position]
    if len(codes) != 1:
        return "0-9" if codes == frozenset(range(48, 58)) else "any character" if len(codes) > 60 else _class(codes)
    text = ""
    while len(codes) == 1:
        text += chr(next(iter(codes)))
        following = regex.after[position]
        if len(following) != 1 or position in regex.last:
            break
        position = next(iter(following))
        codes = regex.characters[position]
    return text


def _class(codes: frozenset[int]) -> str:
    return f"[{''.join(map(chr, sorted(codes)))}]"
