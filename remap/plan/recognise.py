"""Which shipped rule file fits a checkpoint, from names and shapes alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remap.checkpoint.tensor import Checkpoint
from remap.errors import PlanError, RemapError
from remap.plan.derive import derive_tensors
from remap.plan.make import make_plan
from remap.plan.match import match_keys
from remap.plan.params import resolve_params
from remap.rules.load import load_rules
from remap.rules.shipped import shipped_names
from remap.target.shipped import shipped_inventory

NEARLY = 0.5
"""Share of the tensors that a rule file must claim to be called second best."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """How well one rule file fits.

    Args:
        name: Its bare name.
        used: Source tensors that its rules move.
        known: Source tensors that it moves or ignores.
        total: All source tensors.
        idle: Rules that match nothing and are not optional.
        fits: Whether the account of the source closes.
        model: The Keras model whose shipped inventory it fills to the last variable, empty if none.
    """

    name: str
    used: int
    known: int
    total: int
    idle: int
    fits: bool
    model: str = ""

    @property
    def rank(self) -> tuple[bool, bool, float, int]:
        """Larger is better: a whole model filled, the source closed, the share known, few idle rules."""
        return (bool(self.model), self.fits, self.used / max(self.total, 1), -self.idle)

    def why(self) -> str:
        """The fit in words."""
        parts = [f"{self.known} of {self.total} tensors known to its rules, {self.used} moved"]
        if self.idle:
            parts.append(f"{self.idle} rules match nothing")
        if self.model:
            parts.append(f"names and shapes fill {self.model} to the last variable")
        return ", ".join(parts)


def recognise(checkpoint: Checkpoint, names: Iterable[str] | None = None) -> list[Candidate]:
    """The shipped rule files that know something of a checkpoint, best first.

    Args:
        checkpoint: What to recognise.
        names: Rule files to try, all shipped ones if None.

    >>> from remap.checkpoint.open import open_checkpoint
    >>> recognise(open_checkpoint("fixtures/resnet/thin_resnet50.pt"), ["resnet"])[0].fits
    True
    """
    found = [_candidate(name, checkpoint) for name in (shipped_names() if names is None else names)]
    return sorted((c for c in found if c is not None and c.known), key=lambda c: c.rank, reverse=True)


def choose(checkpoint: Checkpoint) -> tuple[Candidate, Candidate | None]:
    """The rule file that fits, and the one that comes second.

    Raises:
        PlanError: None fits, or several fit equally well; the closest are named.
    """
    candidates = recognise(checkpoint)
    if candidates and candidates[0].fits:
        best, *others = candidates
        equal = [other.name for other in others if other.rank == best.rank]
        if equal:
            raise PlanError(
                "several shipped rule files fit the checkpoint equally well", where=str(checkpoint.path),
                found=", ".join([best.name, *equal]), fix="name the one whose model you have",
            )  # fmt: skip
        return best, others[0] if others else None
    near = [c for c in candidates if c.known >= NEARLY * c.total][:3]
    raise PlanError(
        "no shipped rule file fits the checkpoint", where=str(checkpoint.path),
        found="; ".join(f"{c.name}: {c.why()}" for c in near) or "its names are not those of any known family",
        fix="name a rule file, or write one ('remap inspect' shows the names)",
    )  # fmt: skip


def _candidate(name: str, checkpoint: Checkpoint) -> Candidate | None:
    try:
        rules = load_rules(name)
        tensors, consumed, problems = derive_tensors(rules, checkpoint, resolve_params(rules, {}, checkpoint.path))
        claims = match_keys(rules, tensors)
    except RemapError:
        return None
    used = len(consumed) + sum(len(keys) for group in claims.groups for keys in group.tensors.values())
    known = used + len(claims.ignored)
    fits = not (claims.unclaimed or claims.contested or claims.idle or problems)
    model = ""
    for spec in rules.about.models if fits else ():
        inventory = shipped_inventory(spec)
        if inventory is None or model:
            continue
        try:
            make_plan(rules, checkpoint, inventory)
        except RemapError:
            continue
        model = spec
    return Candidate(name, used, known, len(checkpoint), len(claims.idle), fits, model)
