"""The proof from end to end: both networks built, fed, looked into, and held beside each other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from remap.arguments import CheckpointLike, Rules
from remap.errors import UsageError
from remap.planning.plan import Plan
from remap.proving.alignment import align
from remap.proving.audit import audit
from remap.proving.counterparts import accounted
from remap.proving.difference import Tolerance
from remap.proving.findings import find
from remap.proving.guess import likelier
from remap.proving.inputs import InputSpec
from remap.proving.options import VerifyOptions
from remap.proving.outputs import compare_outputs, exchanged, leave_out
from remap.proving.planned import opened_for, planned, with_tensors
from remap.proving.prepare import epsilons_of, modules_in, open_network, ran, recorded, recording, specified, title_of
from remap.proving.recording import is_recording
from remap.proving.rows import Row, compare_layers
from remap.proving.static import static_audit
from remap.proving.verified import Sight, Verified
from remap.proving.weights import put_weights
from remap.sides.feed import Feed
from remap.sides.keras.side import KerasSide, precision
from remap.sides.keras.sizes import traced_sizes
from remap.sides.keras.spec import ModelSource
from remap.sides.reference import Reference


def verify(
    rules: Rules, checkpoint: CheckpointLike, model: ModelSource, torch: Any, options: VerifyOptions
) -> Verified:
    """Hold the converted Keras model beside the PyTorch model: weights, outputs, every layer.

    Args:
        rules: See :func:`remap.verify`.
        checkpoint: See :func:`remap.verify`.
        model: Builds the Keras model.
        torch: See :func:`remap.verify`.
        options: What is asked for.

    Raises:
        RemapError: One of the two does not build or run, or the account does not close.
    """
    if options.static:
        return static_audit(rules, checkpoint, model, torch, options)
    started = time.perf_counter()
    file, source, recognised = opened_for(rules, checkpoint, model)
    strip, title = file.source.strip, title_of(torch)
    theirs = recording(Path(title), strip) if is_recording(title) else open_network(torch, options.torch_args)
    modules = theirs.modules if isinstance(theirs, Reference) else modules_in(theirs, source, strip)
    epsilons = epsilons_of(modules)
    if model.live and (options.float64 or options.weights is not None):
        asked = "double precision" if options.float64 else "a weights file"
        raise UsageError("a live model is taken as it is", found=asked, fix="give the function that builds it")
    tolerance = Tolerance(options.atol, options.rtol, options.float64)
    with precision(options.float64):
        side = KerasSide.build(model)
        as_built = options.weights is None and not options.float64 and not model.spec.endswith(".keras")
        fresh = side if as_built else None
        plan = planned(file, source, model, fresh, options, epsilons=epsilons)
        specs, entries = list[InputSpec](), None
        if isinstance(theirs, Reference):
            reference = recorded(theirs, title, side, options)
        else:
            specs, entries = specified(theirs, plan, side, options)
            reference = ran(theirs, plan, specs, entries, options)
        if reference.calibrated:
            plan = planned(
                file, with_tensors(source, reference.calibrated), model, fresh, options, plan.target, epsilons
            )
        plan = replace(plan, recognised=recognised)
        guessed = [spec.name for spec in specs if spec.guessed]
        network = theirs if guessed and not isinstance(theirs, Reference) else None
        del theirs, modules  # where no other inputs are tried, the network's weights are not needed any more
        checked = put_weights(plan, side, Path(options.weights) if options.weights is not None else None, model.live)
        side.run(reference.feeds)
        leave_out(options.ignore_outputs, reference, side)
        result = replace(_compared(plan, reference, side, tolerance), weights=checked)
        result = replace(result, ignored=tuple(options.ignore_outputs))
        if network is not None and result.verdict == "differ":
            likely = likelier(network, side, specs, entries, tolerance, options)
            result = replace(result, guessed=tuple(guessed), likelier=likely)
        parted = find(result.rows, result.outputs, reference, side, plan, tolerance, result.audit, model.spec)
    untraced = result.untraced | {row.layer: row.reason for row in parted.rows if row.outcome == "not compared"}
    result = replace(result, finding=parted.first, further=parted.further, rows=parted.rows, untraced=untraced)
    notes = (*_notes(reference, options.calibrate), *filter(None, [parted.note]))
    return replace(result, notes=notes, seconds=time.perf_counter() - started)


def _compared(plan: Plan, reference: Reference, side: KerasSide, tolerance: Tolerance) -> Verified:
    called = set(reference.trace.by_name)
    pairs, untraced = align(plan, reference.modules, called)
    rows = compare_layers(pairs, reference.trace, side.trace, tolerance)
    outputs = compare_outputs(reference.trace, side.trace, tolerance)
    outputs = accounted(outputs, rows, reference, side.trace, plan.ignored, tolerance)
    untraced |= {row.layer: row.reason for row in rows if row.outcome == "not compared"}
    disagreements = audit(plan, reference.modules, partial(traced_sizes, side.trace)) if reference.modules else []
    return Verified(
        plan,
        reference.source,
        side.title,
        None,
        outputs,
        rows,
        untraced,
        _sight(reference, outputs),
        audit=disagreements,
        tolerance=tolerance.words(),
        float64=tolerance.float64,
        inputs=tuple(_told(feed) for feed in reference.feeds),
        drawn=tuple(feed.drawn for feed in reference.feeds),
        exchanged=exchanged(outputs, reference.trace, side.trace),
    )


def _told(feed: Feed) -> str:
    return f"{feed.name} {feed.torch.dtype}{list(feed.torch.shape)}"


def _sight(reference: Reference, outputs: Sequence[Row]) -> Sight:
    moved = []
    held = {row.torch_value for row in outputs if row.outcome != "not compared"}
    given = [(value, reference.trace.values[value]) for _, value in reference.trace.outputs]
    pairs = list(zip(given, reference.other_outputs, strict=False))
    of_held = [pair for pair in pairs if pair[0][0] in held]
    for (_, one), other in of_held or pairs:
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
