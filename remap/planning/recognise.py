"""Which shipped rule file fits a checkpoint, from names and shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any

from remap.errors import PlanError, RemapError
from remap.inventory.inventory import Inventory
from remap.inventory.shipped import shipped_inventory
from remap.planning.derive import derive_tensors
from remap.planning.make import make_plan
from remap.planning.match import Claims, claimed_keys
from remap.planning.operate import Caller
from remap.planning.params import resolve_params
from remap.planning.settle import Initial
from remap.planning.shipped import closest_inventory
from remap.rules.load import load_rules
from remap.rules.pattern import Patterns
from remap.rules.rulefile import RuleFile
from remap.rules.shipped import shipped_names
from remap.tensors.tensor import Checkpoint

Opener = Callable[[RuleFile], Checkpoint]

NEARLY = 0.5
"""Share of the tensors that a rule file must know to be called close."""
SAMPLE = 100
"""Tensors that are tried first."""
HARDLY = 0.1
"""Share of these that a rule file must know to be tried with all."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """How well one rule file fits.

    Args:
        name: Its bare name.
        about: What it converts, in words.
        used: Source tensors that its rules move.
        known: Source tensors that it moves or ignores.
        total: All source tensors.
        idle: Rules that match nothing and are not optional.
        closes: Whether the account of the source closes.
        family: How many tensors have shapes that tell its family from others of the same names; None where some have
            another.
        model: The Keras model that it fills to the last variable: the one given, or one whose inventory is shipped;
            empty if none.
        unfilled: Whether there is a model to fill, the one given or the file's own that are shipped, and it fills none.
        conversion: What it does with the checkpoint, equal where another file does the same.
    """

    name: str
    about: str
    used: int
    known: int
    total: int
    idle: int
    closes: bool
    family: int | None
    model: str
    unfilled: bool
    conversion: Any = field(repr=False)

    @property
    def fits(self) -> bool:
        """Whether the account closes and no shape is of another family."""
        return self.closes and self.family is not None

    @property
    def rank(self) -> tuple[bool, bool, bool, float, int, int]:
        """Larger is better: fits, a whole model filled, none left unfilled, the share moved, few idle rules, shapes of
        its family."""
        share = self.used / max(self.total, 1)
        return (self.fits, bool(self.model), not self.unfilled, share, -self.idle, self.family or 0)

    def why(self) -> str:
        """The fit in words."""
        parts = [f"{self.known} of {self.total} tensors known to its rules, {self.used} moved"]
        if self.idle:
            parts.append(f"{self.idle} rules match nothing")
        if self.family is None:
            parts.append("shapes are of another family")
        if self.family:
            parts.append("shapes are of its family")
        if self.model:
            parts.append(f"names and shapes fill {self.model} to the last variable")
        return f"{', '.join(parts)} ({self.about})"


def recognise(
    opened: Opener, names: Iterable[str] | None = None, target: Inventory | None = None, initial: Initial | None = None
) -> list[Candidate]:
    """The shipped rule files that know something of a checkpoint, best first.

    Args:
        opened: The checkpoint, opened as a rule file's ``[source]`` says.
        names: Rule files to try, all shipped ones if None.
        target: The model that is to be filled, where it is known.
        initial: Where its initial values come from.

    >>> from remap.opening.open import open_checkpoint
    >>> recognise(lambda rules: open_checkpoint("fixtures/resnet/thin_resnet50.pt"), ["resnet"])[0].fits
    True
    """
    checkpoints = _Checkpoints(opened)
    tried = shipped_names() if names is None else names
    candidates = [_candidate(name, checkpoints, target, initial) for name in tried]
    return sorted((c for c in candidates if c is not None and c.known), key=lambda c: c.rank, reverse=True)


def choose(
    opened: Opener, target: Inventory | None = None, initial: Initial | None = None
) -> tuple[Candidate, tuple[str, ...]]:
    """The rule file that fits, and why, in lines: which came second, and which would do the same.

    Raises:
        PlanError: None fits, or several fit equally well and do not do the same; the closest are named.
    """
    candidates = recognise(opened, target=target, initial=initial)
    closing = [c for c in candidates if c.closes and not (target is not None and c.unfilled)]
    fitting = [c for c in closing if c.fits] or (closing if len(closing) == 1 else [])
    if not fitting:
        raise _nothing_fits(candidates, target)
    best = fitting[0]
    same = [c for c in closing if c is not best and c.conversion == best.conversion]
    others = [c for c in candidates if c is not best and c not in same]
    equal = [c for c in others if c.rank == best.rank]
    if equal:
        raise PlanError(
            "several shipped rule files fit the checkpoint equally well, and do not do the same",
            found="; ".join(f"{c.name} ({c.about})" for c in [best, *equal]),
            fix="name the one whose model you have",
        )
    lines = [f"recognised as '{best.name}': {best.why()}"]
    lines += [
        f"'{c.name}' {'fits as well' if c.fits else 'is for other shapes'}: it would write the same ({c.about})"
        for c in same
    ]
    lines.append(f"second: '{others[0].name}': {others[0].why()}" if others else "no other one knows much of it")
    return best, tuple(lines)


def _nothing_fits(candidates: list[Candidate], target: Inventory | None) -> PlanError:
    by_names = [c for c in candidates if c.closes]
    near = by_names or [c for c in candidates if c.known >= NEARLY * c.total][:3]
    return PlanError(
        "no shipped rule file fits the checkpoint" + (" and the model" if target is not None and by_names else ""),
        found="; ".join(f"{c.name}: {c.why()}" for c in near) or "its names are not those of any known family",
        fix="name the one whose model you have"
        if by_names
        else "name a rule file, or write one ('remap inspect' shows the names)",
    )


@dataclass(slots=True)
class _Checkpoints:
    """One checkpoint as different rule files want it opened, each way once."""

    opened: Opener
    _known: dict[tuple[str | None, tuple[str, ...]], Checkpoint] = field(default_factory=dict)

    def for_rules(self, rules: RuleFile) -> Checkpoint:
        way = (rules.source.root, tuple(rules.source.strip))
        if way not in self._known:
            self._known[way] = self.opened(rules)
        return self._known[way]


def _candidate(
    name: str, checkpoints: _Checkpoints, target: Inventory | None, initial: Initial | None
) -> Candidate | None:
    try:
        rules = _shipped(name)
        checkpoint = checkpoints.for_rules(rules)
        sample = Checkpoint(
            checkpoint.path, checkpoint.format, dict(islice(checkpoint.items(), 0, None, len(checkpoint) // SAMPLE + 1))
        )
        if len(_match(rules, sample)[0].unclaimed) > (1 - HARDLY) * len(sample):
            return None
        claims, consumed, closes = _match(rules, checkpoint)
    except RemapError:
        return None
    used = consumed + len({key for link in claims.links for key in link.claimed()})
    known = used + len(claims.ignored)
    family = _of_the_family(rules, checkpoint)
    model, unfilled = "", False
    if closes:
        known_all = all(shipped_inventory(spec) is not None for spec in rules.about.models)
        tried = closest_inventory(rules, checkpoint) if target is None else target
        if tried is not None and _fills(rules, checkpoint, tried, initial):
            model = tried.model or "the model"
        unfilled = not model and (target is not None or known_all)
    about = f"{rules.about.source} -> {rules.about.target}"
    return Candidate(
        name,
        about,
        used,
        known,
        len(checkpoint),
        len(claims.idle),
        closes,
        family,
        model,
        unfilled,
        _conversion(rules, claims),
    )


@cache
def _shipped(name: str) -> RuleFile:
    return load_rules(name)


def _match(rules: RuleFile, checkpoint: Checkpoint) -> tuple[Claims, int, bool]:
    """Which rule claims what, how many tensors deriving uses up, and whether the account of the source closes."""
    params = resolve_params(rules, {}, checkpoint.path)
    tensors, consumed, problems = derive_tensors(rules, checkpoint, params, Caller(False))
    claims = claimed_keys(rules, tensors)  # names of layers may need the model
    left = claims.unclaimed or claims.contested or claims.idle
    return claims, len(consumed), not (left or problems)


def _of_the_family(rules: RuleFile, checkpoint: Checkpoint) -> int | None:
    """How many of the tensors that tell the rule file's family are there; None where one lacks or has other sizes."""
    wanted = list(rules.about.shapes.values())
    patterns = Patterns(rules.about.shapes)
    seen: set[int] = set()
    for name, tensor in checkpoint.items():
        for hit in patterns.match(name):
            if not _has_sizes(tensor.shape, wanted[hit]):
                return None
            seen.add(hit)
    return len(seen) if len(seen) == len(wanted) else None


def _has_sizes(shape: tuple[int, ...], wanted: list[int | list[int]]) -> bool:
    """Whether every size is the one that is wanted, or one of them; 0 stands for any."""
    allowed = [sizes if isinstance(sizes, list) else [sizes] for sizes in wanted]
    return len(shape) == len(allowed) and all(
        size in sizes or 0 in sizes for size, sizes in zip(shape, allowed, strict=True)
    )


def _fills(rules: RuleFile, checkpoint: Checkpoint, target: Inventory, initial: Initial | None) -> bool:
    try:
        make_plan(rules, checkpoint, target, initial=initial)
    except RemapError:
        return False
    return True


def _conversion(rules: RuleFile, claims: Claims) -> Any:
    """What decides where a checkpoint's tensors go and how: the rules that match it, and all that these refer to."""
    fired = [link.rule for link in claims.links]
    return (
        [(rule.spec, rule.batchnorm) for rule in fired],
        [rules.layouts.get(rule.spec.layout or "") for rule in fired],
        [rule.spec for rule in rules.keeps],
        [rule.spec for rule in rules.fills],
        [rule.spec for rule in rules.derives],
        {key for key, _ in claims.ignored},
        rules.params,
        rules.tables,
    )
