"""Getting the PyTorch side ready: the network or a recording, its weights, its inputs, its run."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from remap.errors import UsageError
from remap.planning.plan import Plan
from remap.proving.inputs import InputSpec, draw, parse_input, settle_inputs
from remap.proving.options import RunOptions, VerifyOptions
from remap.proving.placed import to_keras
from remap.proving.recording import is_recording, load_recording
from remap.sides.feed import Feed, KerasInput
from remap.sides.keras.inputs import keras_inputs
from remap.sides.keras.side import KerasSide
from remap.sides.operation import NORMALISING
from remap.sides.reference import Reference, TracedModule
from remap.sides.torch.names import as_spelled, spelled_by, spelling_of
from remap.tensors.tensor import Checkpoint

if TYPE_CHECKING:
    from remap.sides.torch.side import TorchSide


@dataclass
class TorchSource:
    """What a TORCH argument stands for, built when it is first asked for, and once."""

    spec: str
    args: Mapping[str, object]

    @cached_property
    def side(self) -> TorchSide:
        """The PyTorch side."""
        return open_network(self.spec, self.args)


def open_network(torch: Any, args: Mapping[str, object] | None) -> TorchSide:
    """The PyTorch side that a TORCH argument names; a copy of a network that is live already."""
    from remap.sides.torch.side import TorchSide

    if isinstance(torch, TorchSource):
        return torch.side
    if isinstance(torch, str):
        return TorchSide.build(torch, args)
    return TorchSide(copy.deepcopy(torch).eval(), title_of(torch))


def title_of(torch: Any) -> str:
    """How messages call a TORCH argument."""
    if isinstance(torch, TorchSource):
        return torch.spec
    return torch if isinstance(torch, str) else type(torch).__name__


def modules_for(
    torch: Any, args: Mapping[str, object] | None, checkpoint: Checkpoint, strip: Sequence[str]
) -> Mapping[str, TracedModule]:
    """Every module that a TORCH argument or a recording has by path, under the checkpoint's names; nothing runs."""
    title = title_of(torch)
    if is_recording(title):
        return recording(Path(title), strip).modules
    return modules_in(open_network(torch, args), checkpoint, strip)


def modules_in(side: TorchSide, checkpoint: Checkpoint, strip: Sequence[str]) -> Mapping[str, TracedModule]:
    """Every module of a network by path, under the checkpoint's names."""
    spelling = spelling_of(side.network, checkpoint, strip)
    return as_spelled(Reference("", modules=side.modules), spelling, strip).modules


def epsilons_of(modules: Mapping[str, TracedModule]) -> dict[str, float]:
    """The epsilons of the modules that normalise, by path."""
    told = {
        path: module.settings.get("epsilon", module.told.get("eps"))
        for path, module in modules.items()
        if module.operation in NORMALISING or "eps" in module.told
    }
    return {path: float(epsilon) for path, epsilon in told.items() if isinstance(epsilon, int | float)}


def parsed_inputs(inputs: Sequence[str | InputSpec]) -> list[InputSpec]:
    """All ``--input`` arguments, read."""
    specs: list[InputSpec] = []
    for entry in inputs:
        specs += parse_input(entry) if isinstance(entry, str) else [entry]
    return specs


def arguments_of(network: Any) -> list[str]:
    """What a module calls its inputs, in order; nothing where it does not tell.

    >>> class Net:
    ...     def forward(self, ids, *, mask=None): ...
    >>> arguments_of(Net())
    ['ids']
    """
    try:
        parameters = inspect.signature(network.forward).parameters.values()
    except (AttributeError, TypeError, ValueError):
        return []
    return [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]


def without_padding(specs: Sequence[InputSpec], network: Any) -> list[InputSpec]:
    """Inputs in which no number is drawn that the PyTorch embedding of as many numbers holds for padding.

    Padding inside of a text has no meaning: there networks that are equal on every text may differ.
    """
    padding = {
        getattr(module, "num_embeddings", None): getattr(module, "padding_idx", None) for module in network.modules()
    }
    known = [padding.get(spec.bound) if isinstance(spec.bound, int) else None for spec in specs]
    return [spec if pad is None else replace(spec, avoid=(pad,)) for spec, pad in zip(specs, known, strict=True)]


def recording(path: Path, strip: Sequence[str]) -> Reference:
    """A recording, under the names that its checkpoint has without the prefixes."""
    reference = load_recording(path)
    return as_spelled(reference, spelled_by(reference.modules, strip), strip)


def recorded(reference: Reference, where: str, side: KerasSide, options: VerifyOptions) -> Reference:
    """A recording, its inputs in the layout of the Keras model.

    Args:
        reference: The recording.
        where: Its file, for messages.
        side: The Keras side.
        options: What is asked for.

    Raises:
        UsageError: The recording was made otherwise.
    """
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


def specified(
    torch: TorchSide, plan: Plan, side: KerasSide, options: VerifyOptions
) -> tuple[list[InputSpec], list[KerasInput] | None]:
    """The inputs of both networks, and what the Keras model says of its own."""
    model = keras_inputs(side.model)
    specs = settle_inputs(
        parsed_inputs(options.inputs),
        model,
        samples=options.samples,
        odd_size=options.odd_size,
        params=plan.params,
        signature=arguments_of(torch.network),
    )
    return without_padding(specs, torch.network), model


def ran(
    torch: TorchSide, plan: Plan, specs: Sequence[InputSpec], model: Sequence[KerasInput] | None, options: VerifyOptions
) -> Reference:
    """The network with the checkpoint's weights, run on inputs that the Keras model takes too (:func:`specified`)."""
    from remap.sides.torch.source import load_weights

    strip = plan.rules.source.strip
    ignored = [entry.name for entry in plan.ignored]
    spelling = load_weights(torch.network, plan.checkpoint, ignored, strip=strip)
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
