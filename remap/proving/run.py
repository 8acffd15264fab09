"""The proof from end to end: both networks built, fed, looked into, and held beside each other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from remap.arguments import CheckpointLike, Rules, opened, target_of
from remap.errors import UsageError
from remap.inventory.inventory import Inventory
from remap.opening.memory import from_state_dict
from remap.opening.open import open_checkpoint
from remap.planning.make import make_plan
from remap.planning.params import Scalar
from remap.planning.plan import Plan
from remap.proving.alignment import align
from remap.proving.audit import audit
from remap.proving.difference import Tolerance
from remap.proving.disagreement import Disagreement
from remap.proving.findings import find
from remap.proving.inputs import InputSpec, draw, settle_inputs
from remap.proving.outputs import compare_outputs
from remap.proving.prepare import (
    modules_in,
    open_network,
    parsed_inputs,
    ran,
    recorded,
    recording,
    reference_on,
    title_of,
    without_padding,
)
from remap.proving.recording import is_recording
from remap.proving.rows import Row, compare_layers
from remap.proving.verified import Sight, Verified
from remap.proving.weights import put_weights
from remap.rules.rulefile import RuleFile
from remap.sides.feed import Feed
from remap.sides.keras.keras_model import identify, inventory_of
from remap.sides.keras.side import KerasSide, build_side, precision, run_keras
from remap.sides.keras.spec import ModelSource, load_model_builder
from remap.sides.reference import Reference
from remap.sides.torch.names import as_spelled
from remap.tensors.tensor import Checkpoint
from remap.tensors.to_numpy import to_numpy


def verify(
    rules: Rules,
    checkpoint: CheckpointLike,
    model: str | ModelSource,
    torch: Any,
    *,
    inputs: Sequence[str | InputSpec] = (),
    samples: int = 1,
    seed: int = 0,
    atol: float | None = None,
    rtol: float | None = None,
    float64: bool = False,
    calibrate: bool = False,
    odd_size: bool = False,
    weights: str | Path | None = None,
    as_it_is: bool = False,
    params: Mapping[str, Scalar] | None = None,
    torch_args: Mapping[str, object] | None = None,
    allow_code: bool = False,
) -> Verified:
    """Hold the converted Keras model beside the PyTorch model: weights, outputs, every layer.

    Args:
        rules: Path, bare name of a shipped rule file, or what :func:`remap.load_rules` gave.
        checkpoint: The checkpoint.
        model: The Keras model: ``package.module:callable``, ``file.py:callable``, ``.keras`` ...
        torch: The PyTorch model: likewise, a TorchScript file, a ``.pt2`` file, a recording, or a live module.
        inputs: See :func:`remap.proving.inputs.parse_input`; inferred from the Keras model where left out.
        samples: Size of the batch, where a shape is inferred.
        seed: For drawing inputs.
        atol: Absolute tolerance, instead of :class:`remap.proving.difference.Tolerance`'s own.
        rtol: Tolerance relative to the largest value, likewise.
        float64: Whether both sides compute in double precision.
        calibrate: Whether a copy of the PyTorch model takes BatchNorm statistics of real activations first.
        odd_size: Whether images get an odd size, at which asymmetric and symmetric padding coincide.
        weights: A Keras weights file to load, instead of assigning what the rules make of the checkpoint.
        as_it_is: Whether the Keras model holds its weights already.
        params: Values for the rule file's parameters.
        torch_args: Arguments of the callable that ``torch`` names.
        allow_code: Whether the rule file may call functions of the user's.

    Raises:
        RemapError: One of the two does not build or run, or the account does not close.
    """
    started = time.perf_counter()
    keras_source = model if isinstance(model, ModelSource) else load_model_builder(str(model))
    file, source, recognised = _opened(rules, checkpoint, keras_source)
    network = None if is_recording(title_of(torch)) else open_network(torch, torch_args)
    if as_it_is and (float64 or weights is not None):
        asked = "double precision" if float64 else "a weights file"
        raise UsageError("a live model is taken as it is", found=asked, fix="give the function that builds it")
    tolerance = Tolerance(atol, rtol, float64)
    settings: dict[str, Any] = {"params": params, "allow_code": allow_code}
    with precision(float64):
        side = build_side(keras_source)
        fresh = side if weights is None and not float64 and not keras_source.spec.endswith(".keras") else None
        plan = _plan(file, source, keras_source, fresh, settings)
        if network is None:
            changed = bool(inputs) or odd_size
            reference = recorded(Path(torch), plan, side, changed=changed, calibrate=calibrate, float64=float64)
        else:
            reference = ran(
                network,
                title_of(torch),
                plan,
                side,
                parsed_inputs(inputs),
                samples=samples,
                seed=seed,
                float64=float64,
                calibrate=calibrate,
                odd_size=odd_size,
            )
        if reference.calibrated:
            plan = _plan(file, _with(source, reference.calibrated), keras_source, fresh, settings, plan.target)
        plan = replace(plan, recognised=recognised)
        network = None  # its weights are not needed any more
        checked = put_weights(plan, side, Path(weights) if weights is not None else None, as_it_is)
        run_keras(side, reference.feeds, keras_source.spec)
        found = _compared(plan, reference, side, tolerance)
        found = replace(found, weights=checked, keras=keras_source.spec)
        parted = find(found.rows, found.outputs, reference, side, plan, tolerance, found.audit, keras_source.spec)
    untraced = found.untraced | {row.layer: row.reason for row in parted.rows if row.outcome == "not compared"}
    found = replace(found, finding=parted.first, further=parted.further, rows=parted.rows, untraced=untraced)
    notes = (*_notes(reference, calibrate), *filter(None, [parted.note]))
    return replace(found, notes=notes, seconds=time.perf_counter() - started)


def static_audit(
    rules: Rules | Plan,
    checkpoint: CheckpointLike,
    model: str | ModelSource,
    torch: Any,
    *,
    params: Mapping[str, Scalar] | None = None,
    torch_args: Mapping[str, object] | None = None,
    allow_code: bool = False,
) -> Verified:
    """Compare the settings of every mapped pair, and run nothing.

    Args:
        rules: See :func:`verify`; or a plan that is made already and knows its target.
        checkpoint: See :func:`verify`.
        model: See :func:`verify`.
        torch: See :func:`verify`.
        params: See :func:`verify`.
        torch_args: See :func:`verify`.
        allow_code: See :func:`verify`.

    Returns:
        A result whose verdict is ``audited``: settings that disagree, nothing else.
    """
    started = time.perf_counter()
    keras_source = model if isinstance(model, ModelSource) else load_model_builder(str(model))
    if isinstance(rules, Plan):
        plan = rules
    else:
        file, source, recognised = _opened(rules, checkpoint, keras_source)
        settings = {"params": params, "allow_code": allow_code}
        plan = replace(_plan(file, source, keras_source, None, settings), recognised=recognised)
    if is_recording(title_of(torch)):
        modules = recording(Path(torch), plan).modules
    else:
        modules = modules_in(open_network(torch, torch_args), plan)
    return Verified(
        plan, title_of(torch), keras_source.spec, audit=audit(plan, modules), seconds=time.perf_counter() - started
    )


def record(
    torch: Any,
    checkpoint: Any,
    inputs: Sequence[str | InputSpec],
    *,
    seed: int = 0,
    float64: bool = False,
    calibrate: bool = False,
    torch_args: Mapping[str, object] | None = None,
) -> Reference:
    """Run the PyTorch side alone, to be saved with :func:`remap.proving.recording.save_recording`.

    Args:
        torch: See :func:`verify`.
        checkpoint: See :func:`verify`.
        inputs: See :func:`verify`; here there is no Keras model to infer them from.
        seed: See :func:`verify`.
        float64: See :func:`verify`.
        calibrate: See :func:`verify`.
        torch_args: See :func:`verify`.
    """
    from remap.sides.torch.source import load_weights

    specs = parsed_inputs(inputs)
    if not specs:
        raise UsageError("the inputs of a recording must be given", fix="--input float32[1,3,224,224]")
    network = open_network(torch, torch_args)
    settled = without_padding(settle_inputs(specs, None), network)
    source = checkpoint if isinstance(checkpoint, Checkpoint) else open_checkpoint(checkpoint)
    spelling = load_weights(network, source, lenient=True)
    feeds, other = draw(settled, None, seed), draw(settled, None, seed + 1, True)
    return as_spelled(reference_on(network, title_of(torch), feeds, other, float64, calibrate, seed), spelling, ())


def _opened(
    rules: Rules, checkpoint: CheckpointLike, model: ModelSource
) -> tuple[RuleFile, Checkpoint, tuple[str, ...]]:
    """Rules and checkpoint; the Keras model has a say in which rules, where they are to be found out."""
    target, initial = target_of(model, None) if rules == "auto" else (None, None)
    return opened(rules, checkpoint, target, initial)


def _plan(
    file: RuleFile,
    source: Checkpoint,
    model: ModelSource,
    fresh: KerasSide | None,
    settings: Mapping[str, Any],
    inventory: Inventory | None = None,
) -> Plan:
    """The plan; a fresh model at hand is looked at, rather than built once more, and an inventory at hand is used."""
    from remap.checking.model import initial_values

    if fresh is None:
        inventory = inventory or inventory_of(model)
        return make_plan(file, source, inventory, initial=initial_values(model, inventory), **settings)
    inventory = inventory or inventory_of(fresh.model, model.spec)
    live = identify(fresh.model)
    held: dict[str, np.ndarray] = {}

    def initial(variable: Any) -> np.ndarray:
        if variable.path not in held:
            held[variable.path] = np.array(to_numpy(live[variable.path]))
        return held[variable.path]

    return make_plan(file, source, inventory, initial=initial, **settings)


def _with(source: Checkpoint, changed: Mapping[str, np.ndarray]) -> Checkpoint:
    """A checkpoint with some tensors replaced."""
    replaced = from_state_dict(changed)
    return Checkpoint(source.path, source.format, {**source, **replaced}, source.peeled, source.skipped)


def _compared(plan: Plan, reference: Reference, side: KerasSide, tolerance: Tolerance) -> Verified:
    called = set(reference.trace.by_name)
    pairs, untraced = align(plan, reference.modules, called)
    rows = compare_layers(pairs, reference.trace, side.trace, tolerance)
    outputs = compare_outputs(reference.trace, side.trace, tolerance)
    untraced |= {row.layer: row.reason for row in rows if row.outcome == "not compared"}
    disagreements = audit(plan, reference.modules) if reference.modules else list[Disagreement]()
    return Verified(
        plan,
        reference.source,
        "",
        None,
        outputs,
        rows,
        untraced,
        _sight(reference, outputs),
        audit=disagreements,
        tolerance=tolerance.words(),
        float64=tolerance.float64,
        inputs=tuple(_told(feed) for feed in reference.feeds),
    )


def _told(feed: Feed) -> str:
    return f"{feed.name} {feed.torch.dtype}{list(feed.torch.shape)}"


def _sight(reference: Reference, outputs: Sequence[Row]) -> Sight:
    moved = []
    first = [reference.trace.values[value] for _, value in reference.trace.outputs]
    for one, other in zip(first, reference.other_outputs, strict=False):
        scale = float(np.max(np.abs(one), initial=0.0))
        if one.shape == other.shape and scale and np.all(np.isfinite(one)) and np.all(np.isfinite(other)):
            moved.append(float(np.max(np.abs(one.astype(np.float64) - other))) / scale)
    apart = [row.difference.relative for row in outputs if row.difference is not None and row.outcome == "equal"]
    return Sight(max(moved) if moved else None, max(apart, default=0.0))


def _notes(reference: Reference, calibrate: bool) -> tuple[str, ...]:
    notes = []
    if calibrate:
        notes.append(
            f"BatchNorm statistics of real activations in a copy of the PyTorch model: "
            f"{len(reference.calibrated) // 2} layers; the checkpoint is untouched"
        )
    if "" in reference.trace.untraced:
        notes.append(reference.trace.untraced[""])
    if reference.trace.values and not reference.trace.noise and not reference.float64:
        notes.append("the PyTorch model does not run in double precision: its rounding error was not measured")
    return tuple(notes)
