"""Settings of layers without weights: no rule pairs them, so that they are paired by their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from remap.inventory.inventory import Inventory, Layer
from remap.proving.causes import torch_dropout
from remap.proving.disagreement import Disagreement
from remap.sides.keras.operations import activation, described_layer
from remap.sides.operation import RECURRENT, Operation, Settings, same_constant, told_apart
from remap.sides.reference import TracedModule

Named = Sequence[tuple[str, str]]
"""Path, and what is computed there."""
UNKNOWN = "?"
_BY_ORDER = "paired by their order"
_FUNCTIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "mish", "selu", "sigmoid", "tanh", "softplus"),
    *("softsign", "hard_swish", "hard_sigmoid"),
)
"""Activations of which both sides have the same."""


def activations(modules: Mapping[str, TracedModule], target: Inventory) -> Iterator[Disagreement]:
    """Activations in which the two sides disagree, where both have as many and all of them are known.

    Nothing is said where the same activations stand in another order: modules are in the order of their definition,
    which need not be that in which they are called. Nor is a relu6 told where PyTorch has a hard sigmoid or hard swish:
    keras.applications spell those ``relu6(x + 3) / 6``.
    """
    theirs = [(path, _function(module.operation, module.settings)) for path, module in modules.items()]
    ours = [(layer.path, _of_layer(layer)) for layer in target.layers]
    known = [(path, name) for path, name in theirs if name not in ("", UNKNOWN)]
    for entry in _in_order("activation", known, [(path, name) for path, name in ours if name]):
        if not (entry.torch.startswith("hard_") and entry.keras == "relu6"):
            yield entry


def interpolations(modules: Mapping[str, TracedModule], target: Inventory) -> Iterator[Disagreement]:
    """Interpolations in which the two sides disagree, likewise."""
    theirs = [(path, module.operation, module.settings) for path, module in modules.items()]
    ours = [(layer.path, *described_layer(layer)) for layer in target.layers]
    named = [
        [(path, _interpolation(settings)) for path, operation, settings in side if operation is Operation.INTERPOLATION]
        for side in (theirs, ours)
    ]
    yield from _in_order("interpolation", *named)


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


def _in_order(setting: str, theirs: Named, ours: Named) -> Iterator[Disagreement]:
    same = Counter(name for _, name in theirs) == Counter(name for _, name in ours)
    if len(theirs) != len(ours) or same or any(name == UNKNOWN for _, name in (*theirs, *ours)):
        return
    for (path, torch), (layer, keras) in zip(theirs, ours, strict=True):
        if torch != keras:
            yield Disagreement(layer, path, setting, torch, keras, _BY_ORDER)


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


def _of_layer(layer: Layer) -> str:
    """What a layer's activation is, be it all that it does or what it ends in."""
    operation, settings = described_layer(layer)
    name = layer.settings.get("activation")
    if operation in (Operation.ACTIVATION, Operation.SOFTMAX):
        return _function(operation, settings)
    recurrent = operation in (*RECURRENT, Operation.CONVOLUTIONAL_LSTM) or "recurrent_activation" in layer.settings
    return "" if name is None or recurrent else _function(*activation(str(name)))


def _interpolation(settings: Settings) -> str:
    return f"{settings['mode']}{' with align_corners=True' if settings.get('align_corners') else ''}"
