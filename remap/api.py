"""The Python interface: a handful of verbs over the modules that do the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remap.arguments import CheckpointLike, Model, Rules, model_source, opened, target_of
from remap.errors import UsageError
from remap.inventory.inventory import Inventory, Variable
from remap.opening.open import open_checkpoint as _open
from remap.planning.make import make_plan
from remap.planning.params import Scalar
from remap.planning.plan import Plan
from remap.planning.shipped import plan_with_shipped
from remap.rules.load import load_rules
from remap.tensors.location import is_url
from remap.tensors.tensor import Checkpoint

if TYPE_CHECKING:
    import numpy as np

    from remap.checking.compare import Checked
    from remap.writing.write import Written

__all__ = ["Result", "apply", "check", "load_into", "load_rules", "open_checkpoint", "plan"]


@dataclass(frozen=True, slots=True)
class Result:
    """What :func:`apply` did.

    Args:
        plan: What was planned.
        written: What was written; None after a dry run.
        checked: The outcome of the check; None where there was none.
        seconds: Time of it all.
    """

    plan: Plan
    written: Written | None
    checked: Checked | None
    seconds: float


def open_checkpoint(path: str | Path, **options: Any) -> Checkpoint:
    """Open a checkpoint: a mapping from state_dict keys to tensor records; no data is read.

    Args:
        path: A file or a folder.
        **options: ``root`` and ``strip``, as in a rule file's ``[source]``.

    Raises:
        CheckpointError: It is missing, damaged, or of a kind that cannot be read.

    >>> checkpoint = open_checkpoint("fixtures/linear/linear.safetensors")
    >>> checkpoint["weight"].shape
    (5, 10)
    """
    return _open(path, **options)


def plan(
    rules: Rules,
    checkpoint: CheckpointLike,
    *,
    model: Model | None = None,
    target: str | Path | Inventory | None = None,
    params: Mapping[str, Scalar] | None = None,
    dtype: str | None = None,
    allow_code: bool = False,
    torch: Any = None,
    torch_args: Mapping[str, object] | None = None,
) -> Plan:
    """Plan a conversion from headers alone: nothing is read, nothing written.

    Args:
        rules: Path, bare name of a shipped rule file, what :func:`load_rules` gave, or ``"auto"``: the
            shipped file that fits the checkpoint's names and shapes.
        checkpoint: Path, what :func:`open_checkpoint` gave, or a state_dict in memory.
        model: The Keras model, see :data:`Model`; it is looked at without building its weights.
        target: An inventory instead of a model.
        params: Values for the rule file's parameters.
        dtype: Element type to write, instead of the target's or the source's.
        allow_code: Whether the rule file may call functions of yours.
        torch: The PyTorch network or a recording, as :func:`remap.verify` takes it: the epsilons of its modules are
            read, used where the rule file says none, and held against what it says.
        torch_args: Arguments of the callable that builds it.

    Raises:
        RemapError: Anything that does not fit, all of it at once.

    >>> planned = plan("fixtures/linear/linear.toml", "fixtures/linear/linear.safetensors")
    >>> [(a.name, a.shape) for a in planned.assignments]
    [('dense/kernel', (10, 5)), ('dense/bias', (5,))]
    """
    early = None if rules == "auto" else opened(rules, checkpoint)
    inventory, initial = target_of(model, target)
    file, source, recognised = early or opened(rules, checkpoint, inventory, initial)
    settings: dict[str, Any] = {"params": params, "dtype": dtype, "allow_code": allow_code}
    if torch is not None:
        from remap.proving.prepare import epsilons_of, modules_for

        settings["epsilons"] = epsilons_of(modules_for(torch, torch_args, source, file.source.strip))
    if inventory is not None:
        planned = make_plan(file, source, inventory, initial=initial, **settings)
    else:
        planned = plan_with_shipped(file, source, settings)
    return replace(planned, recognised=recognised)


def apply(
    rules: Rules,
    checkpoint: CheckpointLike,
    out: str | Path | None = None,
    *,
    model: Model | None = None,
    target: str | Path | Inventory | None = None,
    params: Mapping[str, Scalar] | None = None,
    dtype: str | None = None,
    format: str | None = None,
    allow_code: bool = False,
    force: bool = False,
    check: bool = True,
    dry_run: bool = False,
    torch: Any = None,
    torch_args: Mapping[str, object] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> Result:
    """Convert a checkpoint: plan it, write it, and check it where a model is given.

    Args:
        rules: See :func:`plan`.
        checkpoint: See :func:`plan`.
        out: The output; its name tells the format. By default beside the checkpoint, ``.weights.h5`` with
            a known target and ``.h5`` without.
        model: See :func:`plan`.
        target: See :func:`plan`.
        params: See :func:`plan`.
        dtype: See :func:`plan`.
        format: Output format where the name does not tell.
        allow_code: See :func:`plan`.
        force: Whether an existing output is replaced.
        check: Whether the file is loaded into the model and every variable compared.
        dry_run: Whether to stop after the plan.
        torch: See :func:`plan`.
        torch_args: See :func:`plan`.
        progress: Called with the stage (``"write"``, ``"check"``), bytes since the last call, and all bytes.
        **options: Settings of the output format, such as ``max_shard_size``.

    Raises:
        RemapError: Anything that fails; before the output appears, unless it is the check that fails.
    """
    from remap.formats.output import output_format
    from remap.writing.write import write

    started = time.perf_counter()
    source = model_source(model) if model is not None else None
    planned = plan(
        rules,
        checkpoint,
        model=source,
        target=target,
        params=params,
        dtype=dtype,
        allow_code=allow_code,
        torch=torch,
        torch_args=torch_args,
    )
    path = Path(out) if out is not None else default_output(planned)
    form = output_format(path, format)
    if "model_archive" in form.settings and source is not None and source.spec.endswith(".keras"):
        options.setdefault("model_archive", Path(source.spec))
    if dry_run:
        return Result(planned, None, None, time.perf_counter() - started)
    written = write(planned, path, force=force, format=form, progress=_stage(progress, "write", planned), **options)
    checked = None
    if source is not None and check:
        from remap.checking.model import check_file

        checked = check_file(planned, path, source, _stage(progress, "check", planned), form)
    return Result(planned, written, checked, time.perf_counter() - started)


def check(
    file: str | Path,
    rules: Rules,
    checkpoint: CheckpointLike,
    model: Model,
    *,
    params: Mapping[str, Scalar] | None = None,
    dtype: str | None = None,
    allow_code: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Checked:
    """Load a written file into a freshly built model and compare every variable, bit for bit.

    Args:
        file: What :func:`apply` wrote.
        rules: See :func:`plan`.
        checkpoint: See :func:`plan`.
        model: See :func:`plan`.
        params: See :func:`plan`.
        dtype: See :func:`plan`.
        allow_code: See :func:`plan`.
        progress: See :func:`apply`.

    Raises:
        CheckError: The file does not load, or a variable is not as planned.
    """
    from remap.checking.model import check_file
    from remap.formats.tensorflow.tf_bundle import index_of
    from remap.tensors.location import LocalPath

    if is_url(str(file)):
        raise UsageError(
            "Keras and TensorFlow load local files only",
            where=str(file),
            fix="download it, or hold it against what the rules make by 'remap diff CHECKPOINT FILE --rules RULES'",
        )
    path = Path(file)
    if not path.exists() and index_of(LocalPath(path)) is None:
        raise UsageError("no such file", where=str(path))
    source = model_source(model)
    planned = plan(rules, checkpoint, model=source, params=params, dtype=dtype, allow_code=allow_code)
    return check_file(planned, path, source, _stage(progress, "check", planned))


def load_into(
    model: Any,
    rules: Rules,
    checkpoint: CheckpointLike,
    *,
    params: Mapping[str, Scalar] | None = None,
    allow_code: bool = False,
) -> Checked:
    """Convert straight into a live Keras model, no file between.

    Args:
        model: A built Keras model; its variables are assigned once the whole plan is known to fit.
        rules: See :func:`plan`.
        checkpoint: See :func:`plan`.
        params: See :func:`plan`.
        allow_code: See :func:`plan`.

    Returns:
        How many variables were assigned, read back and found equal.

    Raises:
        RemapError: Anything that does not fit; the model is untouched then.
    """
    from remap.checking.assign import assign_all
    from remap.sides.keras.keras_model import identify, inventory_of
    from remap.tensors.to_numpy import to_numpy

    inventory = inventory_of(model)
    live = identify(model, inventory)

    def initial(variable: Variable) -> np.ndarray:
        return to_numpy(live[variable.path])

    file, source, _ = opened(rules, checkpoint, inventory, initial)
    planned = make_plan(file, source, inventory, params=params, allow_code=allow_code, initial=initial)
    return assign_all(planned, model)


def default_output(planned: Plan) -> Path:
    """Where :func:`apply` writes when it is not told: beside the checkpoint, under its name; of a URL, here."""
    return output_beside(planned.checkpoint.path, planned.target is not None)


def output_beside(given: str | Path, target: bool) -> Path:
    """The same, for a checkpoint's path or URL, and for whether the target is known.

    >>> output_beside("models/net.pt", target=True).as_posix()
    'models/net.weights.h5'
    """
    given = given if isinstance(given, Path) or is_url(given) else Path(given)
    path = given if isinstance(given, Path) else Path(given.rstrip("/").rpartition("/")[2].partition("?")[0])
    name = path.name.removesuffix(".index.json")
    for suffix in (".safetensors", ".pth", ".pt", ".bin", ".ckpt"):
        name = name.removesuffix(suffix)
    return path.with_name(f"{name}.weights.h5" if target else f"{name}.h5")


def _stage(progress: Callable[[str, int, int], None] | None, stage: str, planned: Plan) -> Callable[[int], None] | None:
    if progress is None:
        return None
    total = planned.nbytes
    return lambda done: progress(stage, done, total)
