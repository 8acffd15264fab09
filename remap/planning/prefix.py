"""A prefix that all names miss: one cause of many problems, told once with what mends it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from remap.errors import Problem, ProblemCode
from remap.planning.match import Claims, claims_of
from remap.rules.pattern import Patterns
from remap.rules.rulefile import RuleFile
from remap.tensors.tensor import Checkpoint

DEPTH = 3
"""Components that a prefix may have."""
MOST_TRIED = 2000
"""Keys that a prefix is tried on."""
_HEAD = re.compile(r"(?:[\w-]+\\\.)+")
"""The components, joined by escaped dots, that a pattern begins with."""


@dataclass(frozen=True, slots=True)
class PrefixFault:
    """A prefix that stands on one side alone.

    Args:
        prefix: The prefix, dots included.
        of_keys: Whether the keys have it and the rules lack it; the other way round otherwise.
    """

    prefix: str
    of_keys: bool

    def mended(self, key: str) -> str:
        """The key as the rules expect it."""
        return key.removeprefix(self.prefix) if self.of_keys else f"{self.prefix}{key}"


def prefix_fault(rules: RuleFile, keys: Iterable[str], claims: Claims) -> PrefixFault | None:
    """The prefix without which, or with which, rules that match nothing would claim most keys that none claims."""
    unclaimed = claims.unclaimed[:MOST_TRIED]
    if not unclaimed or not claims.idle:
        return None
    idle = {id(rule) for rule in claims.idle}
    every = claims_of(rules)
    patterns = Patterns(claim.pattern for claim in every)
    there = set(keys)
    best: tuple[int, PrefixFault] | None = None
    for fault in _candidates(claims, unclaimed):
        names = [name for key in unclaimed if (name := fault.mended(key)) != key]
        hits = [patterns.match(name) for name in names]
        fits = sum(map(bool, hits))
        fires = any(id(every[hit].rule) in idle for each in hits for hit in each)
        if fires and 2 * fits > len(unclaimed) and not there.intersection(names) and (best is None or fits > best[0]):
            best = fits, fault
    return best[1] if best is not None else None


def _candidates(claims: Claims, unclaimed: Sequence[str]) -> Iterator[PrefixFault]:
    """Prefixes of half of the keys or of half of the idle rules at least."""
    of_keys = Counter(prefix for key in unclaimed for prefix in _heads(key.split(".")[:-1]))
    yield from (PrefixFault(prefix, True) for prefix, count in of_keys.items() if 2 * count >= len(unclaimed))
    beginnings = [match[0] for rule in claims.idle if (match := _HEAD.match(rule.spec.match))]
    of_rules = Counter(prefix for text in beginnings for prefix in _heads(text.split("\\.")[:-1]))
    yield from (PrefixFault(prefix, False) for prefix, count in of_rules.items() if 2 * count >= len(claims.idle))


def _heads(components: Sequence[str]) -> list[str]:
    return [".".join(components[:length]) + "." for length in range(1, min(len(components), DEPTH) + 1)]


def renamed(checkpoint: Checkpoint, fault: PrefixFault, unclaimed: Iterable[str]) -> Checkpoint:
    """The checkpoint as it would be with the names that the rules expect."""
    wrong = set(unclaimed)
    names = {key: fault.mended(key) if key in wrong else key for key in checkpoint}
    tensors = {names[key]: replace(tensor, name=names[key]) for key, tensor in checkpoint.items()}
    return Checkpoint(checkpoint.path, checkpoint.format, tensors, (), checkpoint.skipped)


def prefix_problem(
    fault: PrefixFault, rules: RuleFile, checkpoint: Checkpoint, claims: Claims, explained: int
) -> Problem:
    """What to say of it, once.

    Args:
        fault: The prefix.
        rules: The rule file.
        checkpoint: The source.
        claims: The outcome of matching.
        explained: How many other problems it explains.
    """
    first = claims.idle[0]
    pattern = re.escape(fault.prefix)
    affected = [key for key in claims.unclaimed if fault.mended(key) != key]
    if fault.of_keys:
        told = f"{len(affected)} source tensors begin with '{fault.prefix}', such as {affected[0]}; these rules do not"
        strip = ", ".join(f"'{text}'" for text in (*rules.source.strip, pattern))
        begin = f"begin each match with it: '{pattern}{first.spec.match}' at {first.place}"
        fix = f"[source] strip = [{strip}] in {rules.path}, or {begin}"
    else:
        told = f"{len(claims.idle)} rules expect '{fault.prefix}' in front; no source tensor has it"
        shorter = first.spec.match.removeprefix(pattern)
        fix = f"leave it out of each match: '{shorter}' at {first.place}"
    if checkpoint.peeled:
        told += f" (taken off already: {', '.join(checkpoint.peeled)})"
    return Problem(
        "a prefix is off, without which rules and checkpoint fit"
        if fault.of_keys
        else "a prefix is in the rules alone",
        found=f"{told}; {explained} other problems come of it" if explained else told,
        fix=fix,
        excerpt=first.place.of("match").excerpt(),
        code=ProblemCode.PREFIX,
        place=first.place,
        subject=f"the first of {len(claims.idle)}" if len(claims.idle) > 1 else "",
        names=tuple(affected),
    )
