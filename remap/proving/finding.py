"""What is known of a place where two networks part."""

from __future__ import annotations

from dataclasses import dataclass

from remap.proving.trial import Blame, Crossing, FailedTrial


@dataclass(frozen=True, slots=True)
class Finding:
    """A divergence, and what is known of its cause.

    Args:
        layer: The Keras layer where the two part.
        kind: Its class.
        module: What PyTorch computes there.
        cause: One or two words; empty if no suspicion held.
        text: The finding in a sentence.
        proved: Whether a trial made the difference vanish.
        blame: Whose fault it is.
        hint: What to do about it.
        before: Difference as it is, None where shapes differ.
        after: Difference under the suspicion.
        code: Code of the cause, of :data:`remap.proving.causes.BY_CODE`; empty if no suspicion held.
        also: Codes of the causes that it takes at once, where one alone does not explain the difference.
        tried: Number of trials, the one that held included.
        failed: The trials that could not run; they confirm nothing.
        crossing: Which module the layer computes, where it has the weights of another.
    """

    layer: str
    kind: str
    module: str
    cause: str
    text: str
    proved: bool
    blame: Blame
    hint: str = ""
    before: float | None = None
    after: float | None = None
    code: str = ""
    also: tuple[str, ...] = ()
    tried: int = 0
    failed: tuple[FailedTrial, ...] = ()
    crossing: Crossing | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """The code, and those of what it takes at once."""
        return (self.code, *self.also) if self.code else ()
