"""Settings of layers without weights: no rule pairs them, so that they are paired by their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from remap.inventory.inventory import Inventory, Layer
from remap.sides.reference import TracedModule

Told = tuple[str, str, str, str]
"""Keras layer, PyTorch module, what PyTorch computes, what Keras computes."""
Named = Sequence[tuple[str, str]]
"""Path, and what is computed there."""

_TORCH = {
    **{name: name for name in ("relu", "relu6", "silu", "mish", "selu", "sigmoid", "tanh", "softplus", "softmax")},
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
}
_KERAS = {
    **{name: name for name in ("relu", "relu6", "silu", "mish", "selu", "sigmoid", "tanh", "softplus", "softmax")},
    **{name: name for name in ("hard_swish", "hard_sigmoid")},
    **{"swish": "silu", "hard_silu": "hard_swish", "gelu": "gelu (erf)", "gelu_approximate": "gelu (tanh)"},
}


def activations(modules: Mapping[str, TracedModule], target: Inventory) -> Iterator[Told]:
    """Activations in which the two sides disagree, where both have as many and all of them are known.

    Nothing is said where the same activations stand in another order: modules are in the order of their definition,
    which need not be that in which they are called. Nor is a relu6 told where PyTorch has a hard sigmoid or hard swish:
    keras.applications spell those ``relu6(x + 3) / 6``.
    """
    theirs = [(path, _torch_activation(module.settings)) for path, module in modules.items()]
    ours = [(layer.path, _keras_activation(layer)) for layer in target.layers]
    told = _in_order([(path, name) for path, name in theirs if name], [(path, name) for path, name in ours if name])
    yield from (entry for entry in told if not (entry[2].startswith("hard_") and entry[3] == "relu6"))


def interpolations(modules: Mapping[str, TracedModule], target: Inventory) -> Iterator[Told]:
    """Interpolations in which the two sides disagree, likewise."""
    theirs = [
        (path, _torch_interpolation(module.settings))
        for path, module in modules.items()
        if module.settings.get("kind") == "interpolate"
    ]
    ours = [
        (layer.path, str(layer.settings.get("interpolation", "nearest")))
        for layer in target.layers
        if layer.class_name in ("UpSampling2D", "Resizing")
    ]
    yield from _in_order(theirs, ours)


def dropouts(modules: Mapping[str, TracedModule], target: Inventory) -> Iterator[tuple[str, str, str, str, str, bool]]:
    """Dropout that PyTorch has left on; rates in which the two sides disagree, with a note and that they do no harm."""
    theirs = [(path, module.settings) for path, module in modules.items() if module.settings.get("kind") == "dropout"]
    ours = [layer for layer in target.layers if layer.class_name.endswith("Dropout")]
    paired = len(ours) == len(theirs)
    for place, (path, settings) in enumerate(theirs):
        name, rate = (ours[place].path, ours[place].settings.get("rate")) if paired else ("", None)
        p = settings.get("p", 0.0)
        if p and settings.get("training"):
            yield name, path, f"{p:g}, in training mode", "off", "PyTorch's is random", False
        elif isinstance(rate, int | float) and rate != p:
            yield name, path, f"{p:g}", f"{rate:g}", "paired by their order; in training only", True


def _in_order(theirs: Named, ours: Named) -> Iterator[Told]:
    same = Counter(name for _, name in theirs) == Counter(name for _, name in ours)
    if len(theirs) != len(ours) or same or any("?" in name for _, name in (*theirs, *ours)):
        return
    for (path, torch), (layer, keras) in zip(theirs, ours, strict=True):
        if torch != keras:
            yield layer, path, torch, keras


def _torch_activation(settings: Mapping[str, Any]) -> str:
    kind = str(settings.get("kind", ""))
    if kind == "gelu":
        return "gelu (tanh)" if settings.get("approximate") == "tanh" else "gelu (erf)"
    if kind in ("leaky_relu", "elu"):
        return f"{kind} ({settings.get('negative_slope', settings.get('alpha', 0)):g})"
    return _TORCH.get(kind, "")


def _keras_activation(layer: Layer) -> str:
    """What a layer's activation is; empty for none, a question mark for one that is not known."""
    settings = layer.settings
    if layer.class_name == "ReLU":
        slope, most = settings.get("negative_slope") or 0, settings.get("max_value")
        return "relu6" if most == 6 else "?" if most is not None else f"leaky_relu ({slope:g})" if slope else "relu"
    if layer.class_name in ("LeakyReLU", "ELU"):
        kind = "leaky_relu" if layer.class_name == "LeakyReLU" else "elu"
        return f"{kind} ({settings.get('negative_slope', settings.get('alpha', 0)):g})"
    if layer.class_name == "Softmax":
        return "softmax"
    name = settings.get("activation")
    if name in (None, "linear") or "recurrent_activation" in settings or layer.class_name.endswith(("RNN", "RNNCell")):
        return ""
    return _KERAS.get(str(name), "?")


def _torch_interpolation(settings: Mapping[str, Any]) -> str:
    aligned = " with align_corners=True" if settings.get("align_corners") else ""
    return f"{settings.get('mode', 'nearest')}{aligned}"


KINDS: tuple[tuple[str, Callable[[Mapping[str, TracedModule], Inventory], Iterator[Told]]], ...] = (
    ("activation", activations),
    ("interpolation", interpolations),
)
"""The setting that disagrees, and who finds it."""
