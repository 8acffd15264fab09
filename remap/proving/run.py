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
from remap.proving.difference import Tolerance
from remap.proving.findings import find
from remap.proving.options import VerifyOptions
from remap.proving.outputs import compare_outputs
from remap.proving.planned import opened_for, planned, with_tensors
from remap.proving.prepare import open_network, ran, recorded, title_of
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
    theirs = None if is_recording(title_of(torch)) else open_network(torch, options.torch_args)
    if model.live and (options.float64 or options.weights is not None):
        asked = "double precision" if options.float64 else "a weights file"
        raise UsageError("a live model is taken as it is", found=asked, fix="give the function that builds it")
    tolerance = Tolerance(options.atol, options.rtol, options.float64)
    with precision(options.float64):
        side = KerasSide.build(model)
        as_built = options.weights is None and not options.float64 and not model.spec.endswith(".keras")
        fresh = side if as_built else None
        plan = planned(file, source, model, fresh, options)
        reference = recorded(Path(torch), plan, side, options) if theirs is None else ran(theirs, plan, side, options)
        if reference.calibrated:
            plan = planned(file, with_tensors(source, reference.calibrated), model, fresh, options, plan.target)
        plan = replace(plan, recognised=recognised)
        theirs = None  # its weights are not needed any more
        checked = put_weights(plan, side, Path(options.weights) if options.weights is not None else None, model.live)
        side.run(reference.feeds)
        result = replace(_compared(plan, reference, side, tolerance), weights=checked)
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
