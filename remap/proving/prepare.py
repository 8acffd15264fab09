"""Getting the PyTorch side ready: the network or a recording, its weights, its inputs, its run."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from remap.errors import UsageError
from remap.planning.plan import Plan
from remap.proving.inputs import InputSpec, draw, parse_input, settle_inputs, to_keras
from remap.proving.recording import load_recording
from remap.sides.feed import Feed
from remap.sides.keras.inputs import keras_inputs
from remap.sides.keras.side import KerasSide
from remap.sides.reference import Reference, TracedModule
from remap.sides.torch.names import as_spelled, spelled_by, spelling_of


def open_network(torch: Any, args: Mapping[str, object] | None) -> Any:
    """The network that a TORCH argument names; a copy of one that is live already."""
    from remap.sides.torch.source import load_network

    return load_network(torch, dict(args or {})) if isinstance(torch, str) else copy.deepcopy(torch).eval()


def title_of(torch: Any) -> str:
    """How messages call a TORCH argument."""
    return torch if isinstance(torch, str) else type(torch).__name__


def modules_in(network: Any, plan: Plan) -> Mapping[str, TracedModule]:
    """Every module of a network by path, under the checkpoint's names."""
    from remap.sides.torch.side import modules_of

    strip = plan.rules.source.strip
    spelling = spelling_of(network, plan.checkpoint, strip)
    return as_spelled(Reference("", modules=modules_of(network)), spelling, strip).modules


def parsed_inputs(inputs: Sequence[str | InputSpec]) -> list[InputSpec]:
    """All ``--input`` arguments, read."""
    found: list[InputSpec] = []
    for entry in inputs:
        found += parse_input(entry) if isinstance(entry, str) else [entry]
    return found


def without_padding(specs: Sequence[InputSpec], network: Any) -> list[InputSpec]:
    """Inputs in which no number is drawn that the PyTorch embedding of as many numbers holds for padding.

    Padding inside of a text has no meaning: there networks that are equal on every text may differ.
    """
    padding = {
        getattr(module, "num_embeddings", None): getattr(module, "padding_idx", None) for module in network.modules()
    }
    known = [padding.get(spec.bound) if isinstance(spec.bound, int) else None for spec in specs]
    return [spec if pad is None else replace(spec, avoid=(pad,)) for spec, pad in zip(specs, known, strict=True)]


def recording(path: Path, plan: Plan) -> Reference:
    """A recording, under the names that the plan's checkpoint has without its prefixes."""
    reference, strip = load_recording(path), plan.rules.source.strip
    return as_spelled(reference, spelled_by(reference.modules, strip), strip)


def recorded(path: Path, plan: Plan, side: KerasSide, *, changed: bool, calibrate: bool, float64: bool) -> Reference:
    """A recording, its inputs in the layout of the Keras model.

    Args:
        path: The file.
        plan: The plan.
        side: The Keras side.
        changed: Whether the caller asks for inputs of its own.
        calibrate: Whether the caller asks for calibrated statistics.
        float64: Whether the caller asks for double precision.

    Raises:
        UsageError: The recording was made otherwise.
    """
    reference = recording(path, plan)
    where = str(path)
    if changed:
        raise UsageError("a recording has its own inputs", where=where, fix="give --input to 'remap record'")
    if calibrate and not reference.calibrated:
        raise UsageError("the recording is not calibrated", where=where, fix="give --calibrate to 'remap record'")
    if float64 != reference.float64:
        found = "float64" if reference.float64 else "float32"
        fix = "give --float64 to both commands, or to none"
        raise UsageError("the recording has another precision", where=where, found=found, fix=fix)
    model = keras_inputs(side.model)
    if model is not None and len(model) == len(reference.feeds):
        reference.feeds = [
            replace(feed, name=entry.name, keras=to_keras(feed.torch, entry))
            for feed, entry in zip(reference.feeds, model, strict=True)
        ]
    return reference


def ran(
    network: Any,
    title: str,
    plan: Plan,
    side: KerasSide,
    given: Sequence[InputSpec],
    *,
    samples: int,
    seed: int,
    float64: bool,
    calibrate: bool,
    odd_size: bool,
) -> Reference:
    """The network with the checkpoint's weights, run on inputs that the Keras model takes too."""
    from remap.sides.torch.source import load_weights

    strip = plan.rules.source.strip
    spelling = load_weights(network, plan.checkpoint, [ignored.name for ignored in plan.ignored], strip=strip)
    model = keras_inputs(side.model)
    specs = settle_inputs(given, model, samples=samples, odd_size=odd_size, params=plan.params)
    specs = without_padding(specs, network)
    feeds, other = draw(specs, model, seed), draw(specs, model, seed + 1, True)
    return as_spelled(reference_on(network, title, feeds, other, float64, calibrate, seed), spelling, strip)


def reference_on(
    network: Any, title: str, feeds: list[Feed], other: list[Feed], float64: bool, calibrate: bool, seed: int
) -> Reference:
    """A run of a network, calibrated first where that is asked for."""
    from remap.sides.torch.side import calibrated, reference_of

    statistics: Mapping[str, np.ndarray] = {}
    if calibrate:
        network, statistics = calibrated(network, title, feeds, seed)
    reference = reference_of(network, title, feeds, other, float64=float64)
    reference.calibrated = statistics
    return reference
