"""What the proof found, as data, and its verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from remap.checking.compare import Checked
from remap.planning.plan import Plan
from remap.proving.disagreement import Disagreement
from remap.proving.finding import Finding
from remap.proving.limits import BLIND, NEARLY, SEEN
from remap.proving.rows import Outcome, Row

Verdict = Literal["equal", "nearly", "differ", "incomplete", "order", "blind", "weights", "audited"]


@dataclass(frozen=True, slots=True)
class Sight:
    """How far the outputs move when the input changes.

    Args:
        moved: Largest change over the largest output; None where it could not be measured.
        apart: Largest difference of outputs that are equal within the tolerance, likewise relative.
    """

    moved: float | None
    apart: float

    @property
    def blind(self) -> bool:
        """Whether equal outputs prove nothing."""
        return self.moved is not None and self.moved < max(BLIND, SEEN * self.apart)


@dataclass(frozen=True, slots=True)
class Verified:
    """The outcome of holding two networks beside each other.

    Args:
        plan: What was converted.
        torch: The PyTorch side, in words.
        keras: The Keras side.
        weights: Whether the Keras model holds what the plan says.
        outputs: One row for each output.
        rows: One row for each call of each layer that a rule writes, in order of execution.
        untraced: Layers that could not be looked into, and why.
        sight: How far the outputs move.
        finding: Where the two part, and why; None where they do not.
        further: Layers after it that differ on PyTorch's own inputs too, and why.
        audit: Settings that disagree.
        tolerance: Where the tolerance comes from.
        float64: Whether both sides were in double precision.
        inputs: The inputs in words.
        drawn: What was drawn for each of them; empty for one that was given.
        guessed: Inputs of which nothing told what they are, where outputs differ.
        likelier: What ``--input`` takes for them, of a kind under which outputs are equal; empty where none is known.
        exchanged: Outputs that stand in another order on the two sides, Keras's first.
        ignored: Outputs that were not to be looked at.
        notes: What a reader should know.
        seconds: Time it took.
    """

    plan: Plan
    torch: str
    keras: str
    weights: Checked | None = None
    outputs: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    untraced: dict[str, str] = field(default_factory=dict)
    sight: Sight = field(default_factory=lambda: Sight(None, 0.0))
    finding: Finding | None = None
    further: tuple[Finding, ...] = ()
    audit: list[Disagreement] = field(default_factory=list)
    tolerance: str = ""
    float64: bool = False
    inputs: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    likelier: tuple[str, ...] = ()
    exchanged: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """The one word.

        ``equal`` only where weights and outputs are, every output was held against one of the other side or need not
        be, all in one order, and they depend on the input.
        """
        compared = [row for row in self.outputs if row.outcome != Outcome.NOT_COMPARED]
        if self.weights is None:
            return "audited"
        if not self.weights.equal:
            return "weights"
        if not compared or any(row.outcome == Outcome.DIFFERS for row in compared) or self.finding is not None:
            return "nearly" if compared and self.float64 and self._single_precision() else "differ"
        if self.uncompared:
            return "incomplete"
        if self.exchanged:
            return "order"
        return "blind" if self.sight.blind else "equal"

    @property
    def uncompared(self) -> list[Row]:
        """Outputs that nothing was held against, and that nothing explains."""
        return [row for row in self.outputs if row.outcome == Outcome.NOT_COMPARED and not row.accounted]

    def _single_precision(self) -> bool:
        """In double precision: whether the outputs are as near as single precision can tell."""
        return all(
            row.difference is not None and row.difference.relative <= NEARLY
            for row in self.outputs
            if row.outcome != Outcome.NOT_COMPARED
        )

    @property
    def proved(self) -> bool:
        """Whether nothing speaks against the conversion."""
        return self.verdict in ("equal", "nearly", "audited")
