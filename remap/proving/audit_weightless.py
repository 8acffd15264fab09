"""Settings of layers without weights: no rule pairs them, so that they are paired by their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from remap.inventory.inventory import Inventory, Layer
from remap.proving.causes import align_corners, interpolation, torch_dropout
from remap.proving.disagreement import Disagreement
from remap.sides.keras.operations import activation, described_layer
from remap.sides.operation import RECURRENT, Operation, Settings, same_constant, told_apart
from remap.sides.reference import TracedModule


@dataclass(frozen=True, slots=True)
class Told:
    """What is computed at a place.

    Args:
        path: The module or layer.
        name: What it is, in words.
        settings: What it is set to.
    """

    path: str
    name: str
    settings: Settings


UNKNOWN = "?"
_BY_ORDER = "paired by their order"
_FUNCTIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "mish", "selu", "sigmoid", "tanh", "softplus"),
    *("softsign", "hard_swish", "hard_sigmoid"),
)
"""Activations of which both sides have the same."""
_OF_RELU6 = ("hard_swish", "hard_sigmoid")
"""Those that keras.applications write by a relu6."""


def activations(modules: Mapping[str, TracedModule], target: Inventory) -> Iterator[Disagreement]:
    """Activations in which the two sides disagree, where both have as many and all of them are known.

    Nothing is said where the same activations stand in another order: modules are in the order of their definition,
    which need not be that in which they are called. Nor is a relu6 told where PyTorch has a hard sigmoid or hard swish:
    keras.applications spell those ``relu6(x + 3) / 6``.
    """
    theirs = [_activation(path, module.operation, module.settings) for path, module in modules.items()]
    ours = [_of_layer(layer) for layer in target.layers]
    known = [entry for entry in theirs if entry.name not in ("", UNKNOWN)]
    for torch, keras in _in_order(known, [entry for entry in ours if entry.name]):
        if not (torch.settings.get("function") in _OF_RELU6 and keras.settings.get("function") == "relu6"):
            yield Disagreement(keras.path, torch.path, "activation", torch.name, keras.name, _BY_ORDER)


def interpolations(modules: Mapping[str, TracedModule], target: Inventory) -> Iterator[Disagreement]:
    """Interpolations in which the two sides disagree, likewise."""
    theirs = [(path, module.operation, module.settings) for path, module in modules.items()]
    ours = [(layer.path, *described_layer(layer)) for layer in target.layers]
    named = [
        [
            Told(path, _interpolation(settings), settings)
            for path, operation, settings in side
            if operation is Operation.INTERPOLATION
        ]
        for side in (theirs, ours)
    ]
    for torch, keras in _in_order(*named):
        causes = (interpolation.CAUSE, align_corners.CAUSE)
        code = next((c.code for c in causes if c.differs and c.differs(torch.settings, keras.settings)), "")
        yield Disagreement(keras.path, torch.path, "interpolation", torch.name, keras.name, _BY_ORDER, code=code)


def dropouts(modules: Mapping[str, TracedModule], target: Inventory) -> Iterator[Disagreement]:
    """Dropout that PyTorch has left on; rates in which the two sides disagree, which do no harm."""
    theirs = [(path, module.settings) for path, module in modules.items() if module.operation is Operation.DROPOUT]
    described = [(layer.path, *described_layer(layer)) for layer in target.layers]
    ours = [(path, settings.get("rate")) for path, operation, settings in described if operation is Operation.DROPOUT]
    paired = len(ours) == len(theirs)
    for place, (path, settings) in enumerate(theirs):
        name, rate = ours[place] if paired else ("", None)
        p = settings.get("rate", 0.0)
        if p and settings.get("active"):
            told, code = f"{p:g}, in training mode", torch_dropout.CAUSE.code
            yield Disagreement(name, path, "dropout", told, "off", "PyTorch's is random", code=code)
        elif isinstance(rate, int | float) and not same_constant(rate, p):
            note = f"{_BY_ORDER}; in training only"
            yield Disagreement(name, path, "dropout", *told_apart(p, rate), note, True)


def _in_order(theirs: Sequence[Told], ours: Sequence[Told]) -> Iterator[tuple[Told, Told]]:
    """Those of both sides that differ, paired by their order."""
    same = Counter(entry.name for entry in theirs) == Counter(entry.name for entry in ours)
    if len(theirs) != len(ours) or same or any(entry.name == UNKNOWN for entry in (*theirs, *ours)):
        return
    for torch, keras in zip(theirs, ours, strict=True):
        if torch.name != keras.name:
            yield torch, keras


def _activation(path: str, operation: Operation, settings: Settings) -> Told:
    return Told(path, _function(operation, settings), settings)


def _function(operation: Operation, settings: Settings) -> str:
    """What an activation is, with what sets it; empty for none, a question mark for one that is not known."""
    if operation is Operation.SOFTMAX:
        return "softmax"
    function = settings.get("function")
    if operation is not Operation.ACTIVATION or function == "linear":
        return ""
    if function not in _FUNCTIONS or "max_value" in settings:
        return UNKNOWN
    if function == "gelu":
        return f"gelu ({'tanh' if settings.get('approximate') else 'erf'})"
    number = settings.get("slope", settings.get("alpha"))
    return str(function) if number is None else f"{function} ({number:g})"


def _of_layer(layer: Layer) -> Told:
    """What a layer's activation is, be it all that it does or what it ends in."""
    operation, settings = described_layer(layer)
    name = layer.settings.get("activation")
    if operation in (Operation.ACTIVATION, Operation.SOFTMAX):
        return _activation(layer.path, operation, settings)
    recurrent = operation in (*RECURRENT, Operation.CONVOLUTIONAL_LSTM) or "recurrent_activation" in layer.settings
    if name is None or recurrent:
        return Told(layer.path, "", {})
    return _activation(layer.path, *activation(str(name)))


def _interpolation(settings: Settings) -> str:
    return f"{settings['mode']}{' with align_corners=True' if settings.get('align_corners') else ''}"
