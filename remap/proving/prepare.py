"""Getting the PyTorch side ready: the network or a recording, its weights, its inputs, its run."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from remap.errors import UsageError
from remap.planning.plan import Plan
from remap.proving.inputs import InputSpec, draw, parse_input, settle_inputs, to_keras
from remap.proving.options import RunOptions, VerifyOptions
from remap.proving.recording import load_recording
from remap.sides.feed import Feed
from remap.sides.keras.inputs import keras_inputs
from remap.sides.keras.side import KerasSide
from remap.sides.reference import Reference, TracedModule
from remap.sides.torch.names import as_spelled, spelled_by, spelling_of

if TYPE_CHECKING:
    from remap.sides.torch.side import TorchSide


def open_network(torch: Any, args: Mapping[str, object] | None) -> TorchSide:
    """The PyTorch side that a TORCH argument names; a copy of a network that is live already."""
    from remap.sides.torch.side import TorchSide

    if isinstance(torch, str):
        return TorchSide.build(torch, args)
    return TorchSide(copy.deepcopy(torch).eval(), title_of(torch))


def title_of(torch: Any) -> str:
    """How messages call a TORCH argument."""
    return torch if isinstance(torch, str) else type(torch).__name__


def modules_in(side: TorchSide, plan: Plan) -> Mapping[str, TracedModule]:
    """Every module of a network by path, under the checkpoint's names."""
    strip = plan.rules.source.strip
    spelling = spelling_of(side.network, plan.checkpoint, strip)
    return as_spelled(Reference("", modules=side.modules), spelling, strip).modules


def parsed_inputs(inputs: Sequence[str | InputSpec]) -> list[InputSpec]:
    """All ``--input`` arguments, read."""
    specs: list[InputSpec] = []
    for entry in inputs:
        specs += parse_input(entry) if isinstance(entry, str) else [entry]
    return specs


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


def recorded(path: Path, plan: Plan, side: KerasSide, options: VerifyOptions) -> Reference:
    """A recording, its inputs in the layout of the Keras model.

    Args:
        path: The file.
        plan: The plan.
        side: The Keras side.
        options: What is asked for.

    Raises:
        UsageError: The recording was made otherwise.
    """
    reference = recording(path, plan)
    where = str(path)
    if options.inputs or options.odd_size:
        raise UsageError("a recording has its own inputs", where=where, fix="give --input to 'remap record'")
    if options.calibrate and not reference.calibrated:
        raise UsageError("the recording is not calibrated", where=where, fix="give --calibrate to 'remap record'")
    if options.float64 != reference.float64:
        made = "float64" if reference.float64 else "float32"
        fix = "give --float64 to both commands, or to none"
        raise UsageError("the recording has another precision", where=where, found=made, fix=fix)
    model = keras_inputs(side.model)
    if model is not None and len(model) == len(reference.feeds):
        reference.feeds = [
            replace(feed, name=entry.name, keras=to_keras(feed.torch, entry))
            for feed, entry in zip(reference.feeds, model, strict=True)
        ]
    return reference


def ran(torch: TorchSide, plan: Plan, side: KerasSide, options: VerifyOptions) -> Reference:
    """The network with the checkpoint's weights, run on inputs that the Keras model takes too."""
    from remap.sides.torch.source import load_weights

    strip = plan.rules.source.strip
    ignored = [entry.name for entry in plan.ignored]
    spelling = load_weights(torch.network, plan.checkpoint, ignored, strip=strip)
    model = keras_inputs(side.model)
    given = parsed_inputs(options.inputs)
    specs = settle_inputs(given, model, samples=options.samples, odd_size=options.odd_size, params=plan.params)
    specs = without_padding(specs, torch.network)
    feeds, other = draw(specs, model, options.seed), draw(specs, model, options.seed + 1, True)
    return as_spelled(reference_on(torch, feeds, other, options), spelling, strip)


def reference_on(torch: TorchSide, feeds: list[Feed], other: list[Feed], options: RunOptions) -> Reference:
    """A run of a network, calibrated first where that is asked for."""
    from remap.sides.torch.calibrate import calibrated
    from remap.sides.torch.side import reference_of

    network, statistics = torch.network, dict[str, np.ndarray]()
    if options.calibrate:
        network, statistics = calibrated(network, torch.title, feeds, options.seed)
    reference = reference_of(network, torch.title, feeds, other, float64=options.float64)
    reference.calibrated = statistics
    return reference
