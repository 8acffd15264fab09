"""Which shipped rule file fits a checkpoint, from names and shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from remap.checkpoint.tensor import Checkpoint
from remap.errors import PlanError, RemapError
from remap.planning.derive import derive_tensors
from remap.planning.make import make_plan
from remap.planning.match import match_keys
from remap.planning.params import resolve_params
from remap.planning.shipped import closest_inventory
from remap.rules.load import load_rules
from remap.rules.pattern import Patterns
from remap.rules.rulefile import RuleFile
from remap.rules.shipped import shipped_names

Opener = Callable[[RuleFile], Checkpoint]

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


def recognise(opened: Opener, names: Iterable[str] | None = None) -> list[Candidate]:
    """The shipped rule files that know something of a checkpoint, best first.

    Args:
        opened: The checkpoint, opened as a rule file's ``[source]`` says.
        names: Rule files to try, all shipped ones if None.

    >>> from remap.checkpoint.open import open_checkpoint
    >>> recognise(lambda rules: open_checkpoint("fixtures/resnet/thin_resnet50.pt"), ["resnet"])[0].fits
    True
    """
    checkpoints = _Checkpoints(opened)
    found = [_candidate(name, checkpoints) for name in (shipped_names() if names is None else names)]
    return sorted((c for c in found if c is not None and c.known), key=lambda c: c.rank, reverse=True)


def choose(opened: Opener) -> tuple[Candidate, Candidate | None]:
    """The rule file that fits, and the one that comes second.

    Raises:
        PlanError: None fits, or several fit equally well; the closest are named.
    """
    candidates = recognise(opened)
    if candidates and candidates[0].fits:
        best, *others = candidates
        equal = [other.name for other in others if other.rank == best.rank]
        if equal:
            raise PlanError(
                "several shipped rule files fit the checkpoint equally well",
                found=", ".join([best.name, *equal]), fix="name the one whose model you have",
            )  # fmt: skip
        return best, others[0] if others else None
    near = [c for c in candidates if c.known >= NEARLY * c.total][:3]
    raise PlanError(
        "no shipped rule file fits the checkpoint",
        found="; ".join(f"{c.name}: {c.why()}" for c in near) or "its names are not those of any known family",
        fix="name a rule file, or write one ('remap inspect' shows the names)",
    )  # fmt: skip


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


def _candidate(name: str, checkpoints: _Checkpoints) -> Candidate | None:
    try:
        rules = load_rules(name)
        checkpoint = checkpoints.for_rules(rules)
        tensors, consumed, problems = derive_tensors(rules, checkpoint, resolve_params(rules, {}, checkpoint.path))
        claims = match_keys(rules, tensors)
    except RemapError:
        return None
    used = len(consumed) + sum(len(keys) for group in claims.groups for keys in group.tensors.values())
    known = used + len(claims.ignored)
    closed = not (claims.unclaimed or claims.contested or claims.idle or problems)
    fits = closed and _has_shapes(rules, checkpoint)
    model = _filled_model(rules, checkpoint) if fits else ""
    return Candidate(name, used, known, len(checkpoint), len(claims.idle), fits, model)


def _has_shapes(rules: RuleFile, checkpoint: Checkpoint) -> bool:
    """Whether the tensors that the rule file names for it have the shapes of its family."""
    wanted = list(rules.about.shapes.values())
    patterns = Patterns(rules.about.shapes)
    for name, tensor in checkpoint.items():
        for hit in patterns.match(name):
            sizes = wanted[hit]
            if len(sizes) != len(tensor.shape) or any(
                w not in (0, n) for w, n in zip(sizes, tensor.shape, strict=True)
            ):
                return False
    return True


def _filled_model(rules: RuleFile, checkpoint: Checkpoint) -> str:
    """The one of the rule file's models whose shipped inventory the checkpoint fills, empty if none."""
    inventory = closest_inventory(rules, checkpoint)
    if inventory is None:
        return ""
    try:
        make_plan(rules, checkpoint, inventory)
    except RemapError:
        return ""
    return inventory.model
