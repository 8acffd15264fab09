"""Writing a plan: one call for every output format."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from remap.errors import UsageError
from remap.formats.format import SHARD_SIZE, Format, FormatOptions
from remap.formats.output import output_format
from remap.formats.registry import written_formats
from remap.inventory.inventory import BUILD, EXPORTED, Inventory
from remap.planning.plan import EpsilonMismatch, Plan
from remap.writing.carry_out import carry_out
from remap.writing.fill import Filler, Progress
from remap.writing.finite import NotFinite
from remap.writing.narrow import Loss
from remap.writing.staging import Staging, check_free, write_error


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Args:
        path: The output as it was asked for.
        paths: The files that it is.
        format: Name of the format.
        bytes: Their size.
        seconds: Time from the plan to the file being safe on disk.
        loss: What casting to narrower element types lost at most.
        not_finite: Variables with NaN or infinities, which are written as they are.
        folds: BatchNorm layers into which a difference of epsilon was folded.
        load_line: The Python that loads it.
    """

    path: Path
    paths: tuple[Path, ...]
    format: str
    bytes: int
    seconds: float
    loss: Loss
    not_finite: tuple[NotFinite, ...]
    folds: tuple[EpsilonMismatch, ...]
    load_line: str


def write(
    plan: Plan,
    out: Path,
    *,
    force: bool = False,
    format: str | Format | None = None,
    progress: Progress | None = None,
    max_shard_size: float | None = None,
    model_archive: Path | None = None,
) -> Written:
    """Write a plan to a file or several, which appear whole or not at all.

    Args:
        plan: What to write.
        out: The file; of a TensorFlow checkpoint, what its files' names start with.
        force: Whether existing files are replaced.
        format: The format or its name, where the output's name does not tell.
        progress: Called with the bytes done since the last call, by one thread at a time.
        max_shard_size: Of ``weights_json``, and for it alone: gigabytes (10**9 bytes) of one shard at most; 5 if None.
        model_archive: Of ``keras``: the archive whose model the weights are for.

    Raises:
        UsageError: The output exists, its folder does not, or the format cannot hold the plan.
        WriteError: The disk is full or fails, or a number does not fit the element type it is written in.
        CheckpointError: A source cannot be read, or was replaced since the plan was made.
    """
    started = time.perf_counter()
    out = Path(out)
    form = output_format(out, format)
    if form.by_layer and plan.target is not None and plan.target.kind == EXPORTED:
        raise _no_layers(plan.target, form)
    if max_shard_size is not None and "max_shard_size" not in form.settings:
        raise _no_shards(out, form)
    check_free(out, force)
    options = FormatOptions(SHARD_SIZE if max_shard_size is None else max_shard_size, model_archive)
    filler = Filler(progress)
    try:
        sheet = form.lay_out(plan, out, options)
        with Staging() as staging:
            carry_out(sheet, staging, filler, force=force)
            filler.close()
            plan.checkpoint.demand_unchanged()
        nbytes = sum(path.stat().st_size for path in staging.finals)
    except OSError as error:
        raise write_error(error, out) from error
    return Written(
        path=out,
        paths=staging.finals,
        format=form.name,
        bytes=nbytes,
        seconds=time.perf_counter() - started,
        loss=filler.loss,
        not_finite=filler.not_finite,
        folds=tuple(each for each in plan.epsilons if each.action == "fold"),
        load_line=form.load_lines(plan, out, options),
    )


def _no_shards(out: Path, form: Format) -> UsageError:
    endings = [suffix for each in written_formats() if "max_shard_size" in each.settings for suffix in each.suffixes]
    return UsageError(
        "--max-shard-size is for shards",
        where=str(out),
        found=f"format {form.name}",
        expected=f"a name that ends in {' or '.join(endings)}",
    )


def _no_layers(target: Inventory, form: Format) -> UsageError:
    return UsageError(
        "the SavedModel does not tell its Keras layers, by which this format places its weights",
        where=target.model,
        found=f"format {form.name}",
        expected="a name that ends in .ckpt (with --format tf-object or tf-name), .safetensors or .npz",
        fix=f"for a file of Keras's, {BUILD}",
    )
