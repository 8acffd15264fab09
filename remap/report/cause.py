"""A cause of a divergence in words."""

from __future__ import annotations

from collections.abc import Iterator

from remap.errors import UsageError
from remap.proving.causes import BY_CODE

BLAMED = {
    "model": "the Keras model: it computes something else, the weights are right",
    "weights": "the weights: numbers are not where they belong",
    "torch": "the PyTorch network: it does not compute what it does in production",
    "rounding": "nobody: what is left is rounding to float32",
}


def cause_lines(code: str) -> Iterator[str]:
    """What a code stands for, one line a subject.

    Args:
        code: As ``verify`` puts it behind a cause: ``V101``.

    Raises:
        UsageError: There is no such code.
    """
    cause = BY_CODE.get(code.upper())
    if cause is None:
        raise UsageError("no such code of a cause", found=code, expected=", ".join(sorted(BY_CODE)))
    yield f"{cause.code} {cause.name}: {cause.about}"
    yield f"  blame  {BLAMED[cause.blame]}"
    yield f"  fix    {cause.hint}"
