"""Writing a plan: one call for every output format."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from remap.errors import UsageError, WriteError
from remap.plan.plan import EpsilonMismatch, Plan
from remap.write import legacy_h5, weights_h5
from remap.write.fill import Filler, Progress
from remap.write.narrow import Loss
from remap.write.staging import Staging, check_free


@dataclass(frozen=True, slots=True)
class Format:
    """One output format.

    Args:
        suffixes: What its files end in.
        write: Writes a plan to a file.
        load_line: The Python lines that load it.
    """

    suffixes: tuple[str, ...]
    write: Callable[[Plan, Path, Filler], None]
    load_line: Callable[[Plan, Path], str]


FORMATS = {
    "weights_h5": Format((".weights.h5",), weights_h5.write_weights_h5, weights_h5.load_line),
    "legacy_h5": Format((".h5", ".hdf5"), legacy_h5.write_legacy_h5, legacy_h5.load_line),
}
"""By name; where several suffixes fit a file, the first one counts."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Args:
        path: The file.
        format: Name of the format.
        bytes: Its size.
        seconds: Time from the plan to the file being safe on disk.
        loss: What casting to narrower element types lost at most.
        folds: BatchNorm layers into which a difference of epsilon was folded.
        load_line: The Python that loads it.
    """

    path: Path
    format: str
    bytes: int
    seconds: float
    loss: Loss
    folds: tuple[EpsilonMismatch, ...]
    load_line: str


def output_format(out: Path, format: str | None) -> str:
    """The name of the format of an output.

    Args:
        out: The output; its suffix tells.
        format: The name, where it is given; it must suit the suffix, since loaders go by that.

    Raises:
        UsageError: The format is unknown or contradicts the suffix.

    >>> output_format(Path("model.weights.h5"), None)
    'weights_h5'
    """
    by_suffix = next((name for name, found in FORMATS.items() if out.name.endswith(found.suffixes)), None)
    known = "; ".join(f"{name}: {', '.join(found.suffixes)}" for name, found in FORMATS.items())
    if format is not None and format not in FORMATS:
        raise UsageError("unknown output format", found=format, expected=known)
    if by_suffix is None:
        raise UsageError("the output's name does not tell its format", where=str(out), expected=known)
    if format not in (None, by_suffix):
        raise UsageError(
            "the output's name contradicts its format: loaders go by the name",
            where=str(out),
            found=f"format {format}",
            expected=f"a name that ends in {' or '.join(FORMATS[format or by_suffix].suffixes)}",
        )
    return by_suffix


def write(
    plan: Plan,
    out: Path,
    *,
    force: bool = False,
    format: str | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write a plan to a file, which appears whole or not at all.

    Args:
        plan: What to write.
        out: The file.
        force: Whether an existing one is replaced.
        format: One of :data:`FORMATS`, where the name does not tell.
        progress: Called with the bytes done since the last call, by one thread at a time.

    Raises:
        UsageError: The output exists, its folder does not, or the format cannot hold the plan.
        WriteError: The disk is full or fails, or a number does not fit the element type it is written in.
    """
    started = time.perf_counter()
    out = Path(out)
    name = output_format(out, format)
    check_free([out], force)
    filler = Filler(progress)
    try:
        with Staging() as staging:
            FORMATS[name].write(plan, staging.temporary(out), filler)
            filler.close()
    except OSError as error:
        raise _write_error(error, out) from error
    return Written(
        path=out,
        format=name,
        bytes=out.stat().st_size,
        seconds=time.perf_counter() - started,
        loss=filler.loss,
        folds=tuple(found for found in plan.epsilons if found.action == "fold"),
        load_line=FORMATS[name].load_line(plan, out),
    )


def _write_error(error: OSError, out: Path) -> WriteError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return WriteError(
        "the disk is full" if full else "the output cannot be written",
        where=str(out),
        found=str(error),
        fix="make room, or write to another disk" if full else "",
    )
