"""Writing a plan: one call for every output format."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remap.errors import Problem, UsageError
from remap.inventory.inventory import EXPORTED, Inventory
from remap.planning.plan import EpsilonMismatch, Plan
from remap.sides.keras.saved_model import BUILD
from remap.tensors.names import is_text
from remap.writing.fill import Filler, Progress
from remap.writing.finite import NotFinite
from remap.writing.job import SHARD_SIZE, FormatOptions, Job
from remap.writing.narrow import Loss
from remap.writing.staging import Staging, check_free, write_error


@dataclass(frozen=True, slots=True)
class Format:
    """One output format.

    Args:
        suffixes: What its files end in; of formats that share one, the first is meant where no name is given.
        module: Its module, imported when it is used.
        write: Name of the function that writes a plan.
        load_line: Name of the function that gives the Python lines that load what was written.
        keras: Whether it has places for Keras's layers, which a SavedModel does not tell.
    """

    suffixes: tuple[str, ...]
    module: str
    write: str
    load_line: str = "load_line"
    keras: bool = False

    def function(self, name: str) -> Callable[[Job], Any]:
        """One of the format's functions."""
        found: Callable[[Job], Any] = getattr(importlib.import_module(self.module), name)
        return found


FORMATS = {
    "weights_h5": Format((".weights.h5",), "remap.formats.keras.weights_h5", "write_weights_h5", keras=True),
    "legacy_h5": Format((".h5", ".hdf5"), "remap.formats.keras.legacy_h5", "write_legacy_h5", keras=True),
    "weights_json": Format((".weights.json",), "remap.formats.keras.weights_json", "write_weights_json", keras=True),
    "keras": Format((".keras",), "remap.formats.keras.keras_archive", "write_keras_archive", keras=True),
    "tf_name": Format((".ckpt",), "remap.formats.tensorflow.tf_checkpoint", "write_by_name", "load_line_by_name"),
    "tf_object": Format((".ckpt",), "remap.formats.tensorflow.tf_checkpoint", "write_by_object", "load_line_by_object"),
    "safetensors": Format((".safetensors",), "remap.writing.safetensors", "write_safetensors"),
    "npz": Format((".npz",), "remap.writing.npz", "write_npz"),
}


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
    known = "; ".join(f"{name}: {', '.join(found.suffixes)}" for name, found in FORMATS.items())
    if format is not None and format not in FORMATS:
        raise UsageError("unknown output format", found=format, expected=known)
    suffixes = {suffix for found in FORMATS.values() for suffix in found.suffixes if out.name.endswith(suffix)}
    if not suffixes:
        raise UsageError("the output's name does not tell its format", where=str(out), expected=known)
    suffix = max(suffixes, key=len)
    fitting = [name for name, found in FORMATS.items() if suffix in found.suffixes]
    if format is not None and format not in fitting:
        raise UsageError(
            "the output's name contradicts its format: loaders go by the name",
            where=str(out),
            found=f"format {format}",
            expected=f"a name that ends in {' or '.join(FORMATS[format].suffixes)}, and in no longer suffix of another",
        )
    return format or fitting[0]


def write(
    plan: Plan,
    out: Path,
    *,
    force: bool = False,
    format: str | None = None,
    progress: Progress | None = None,
    max_shard_size: float | None = None,
    model_archive: Path | None = None,
) -> Written:
    """Write a plan to a file or several, which appear whole or not at all.

    Args:
        plan: What to write.
        out: The file; of a TensorFlow checkpoint, what its files' names start with.
        force: Whether existing files are replaced.
        format: One of :data:`FORMATS`, where the name does not tell.
        progress: Called with the bytes done since the last call, by one thread at a time.
        max_shard_size: Of ``weights_json``, and for it alone: gigabytes (10**9 bytes) of one shard at most; 5 if None.
        model_archive: Of ``keras``: the archive whose model the weights are for.

    Raises:
        UsageError: The output exists, its folder does not, or the format cannot hold the plan.
        WriteError: The disk is full or fails, or a number does not fit the element type it is written in.
    """
    started = time.perf_counter()
    out = Path(out)
    name = output_format(out, format)
    form = FORMATS[name]
    if form.keras and plan.target is not None and plan.target.kind == EXPORTED:
        raise _no_layers(plan.target, name)
    if max_shard_size is not None and name != "weights_json":
        raise UsageError(
            "--max-shard-size is for shards",
            where=str(out),
            found=f"format {name}",
            expected="a name that ends in .weights.json",
        )
    check_free(out, force)
    _check_names(plan)
    options = FormatOptions(SHARD_SIZE if max_shard_size is None else max_shard_size, model_archive)
    filler = Filler(progress)
    try:
        with Staging() as staging:
            job = Job(plan, out, staging, filler, options, force)
            form.function(form.write)(job)
            filler.close()
    except OSError as error:
        raise write_error(error, out) from error
    return Written(
        path=out,
        paths=staging.finals,
        format=name,
        bytes=staging.nbytes,
        seconds=time.perf_counter() - started,
        loss=filler.loss,
        not_finite=filler.not_finite,
        folds=tuple(found for found in plan.epsilons if found.action == "fold"),
        load_line=form.function(form.load_line)(job),
    )


def _check_names(plan: Plan) -> None:
    problems = [
        Problem("a variable's name is no text", where=repr(found.name), found="half of a character")
        for found in plan.assignments
        if not is_text(found.name)
    ]
    if problems:
        raise UsageError(problems)


def _no_layers(target: Inventory, format: str) -> UsageError:
    return UsageError(
        "the SavedModel does not tell its Keras layers, by which this format places its weights",
        where=target.model,
        found=f"format {format}",
        expected="a name that ends in .ckpt (with --format tf-object or tf-name), .safetensors or .npz",
        fix=f"for a file of Keras's, {BUILD}",
    )
