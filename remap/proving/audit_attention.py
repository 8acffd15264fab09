"""Settings of attention that disagree: scale, a causal mask, dropout; as far as both sides hold them as settings.

A mask or a dropout that is given to a call is none: :func:`remap.verify` tells those by running both networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isclose
from pathlib import PurePosixPath
from typing import Any

from remap.inventory.inventory import Inventory, Layer
from remap.proving.disagreement import Disagreement
from remap.sides.reference import TracedModule

CAUSAL = ("use_causal_mask", "is_causal", "causal")
UNMASKED = "TransformerEncoder"
"""keras_hub's layer whose attention is never causal."""
DROPOUTS = ("attention_dropout", "dropout", "dropout_p", "attn_dropout")
TRAINING = "in training only: neither drops anything in inference mode"


def attentions(
    pairs: Iterable[tuple[str, Sequence[str]]], modules: Mapping[str, TracedModule], target: Inventory
) -> Iterator[Disagreement]:
    """What disagrees between each Keras attention layer and the PyTorch module that its weights come from.

    Args:
        pairs: Keras layers, each with the modules that it is made from.
        modules: Every PyTorch module by path.
        target: The Keras model's inventory.
    """
    made_from = list(pairs)
    for layer in target.layers:
        if "Attention" not in layer.class_name:
            continue
        held = [paths for name, paths in made_from if name == layer.path or name.startswith(f"{layer.path}/")]
        owners = {_owner(path, modules) for paths in held for path in paths} - {""}
        if len(owners) == 1:
            yield from _disagreements(layer, owners.pop(), modules, target)


def _owner(path: str, modules: Mapping[str, TracedModule]) -> str:
    """The nearest module around a path that is set to something as attention is; empty where none is."""
    while path:
        module = modules.get(path)
        if module is not None and "Attention" in module.kind and _is_set(module.settings):
            return path
        path = path.rpartition(".")[0]
    return ""


def _is_set(settings: Mapping[str, Any]) -> bool:
    return _torch_scale(settings) is not None or "is_causal" in settings


def _disagreements(
    layer: Layer, path: str, modules: Mapping[str, TracedModule], target: Inventory
) -> Iterator[Disagreement]:
    settings = modules[path].settings
    theirs, ours = _torch_scale(settings), _keras_scale(layer.settings)
    if theirs is not None and ours is not None and not isclose(theirs, ours, rel_tol=1e-6):
        yield Disagreement(layer.path, path, "attention scale", f"{theirs:.6g}", f"{ours:.6g}")
    causal = _keras_causal(layer, target)
    if settings.get("is_causal") is True and causal is False:  # False says nothing: a mask may be given all the same
        yield Disagreement(
            layer.path, path, "attention mask", "causal", "none", "each position sees those before it in PyTorch"
        )
    yield from _dropout(layer, path, modules)


def _torch_scale(settings: Mapping[str, Any]) -> float | None:
    """What the scores are multiplied by: told by ``scaling``, as transformers call it, or by the size of a head."""
    scale = settings.get("scaling")
    if isinstance(scale, float):
        return scale
    if settings.get("kind") == "multi_head_attention" and settings.get("num_heads"):
        return float((settings["embed_dim"] / settings["num_heads"]) ** -0.5)
    return None


def _keras_scale(settings: Mapping[str, Any]) -> float | None:
    """Likewise of ``MultiHeadAttention`` and the layers made from it."""
    size = settings.get("key_dim")
    return float(size) ** -0.5 if isinstance(size, int) and "num_heads" in settings else None


def _keras_causal(layer: Layer, target: Inventory) -> bool | None:
    """Whether a layer's attention is causal; None where no setting tells."""
    by_path = {entry.path: entry for entry in target.layers}
    around = [by_path[str(path)] for path in PurePosixPath(layer.path).parents if str(path) in by_path]
    for entry in (layer, *around):
        told = next((entry.settings[name] for name in CAUSAL if isinstance(entry.settings.get(name), bool)), None)
        if told is not None:
            return bool(told)
        if entry.class_name == UNMASKED:
            return False
    return None


def _dropout(layer: Layer, path: str, modules: Mapping[str, TracedModule]) -> Iterator[Disagreement]:
    settings = modules[path].settings
    inside = modules.get(f"{path}.dropout")
    theirs = next((settings[name] for name in DROPOUTS if isinstance(settings.get(name), int | float)), None)
    if theirs is None and inside is not None:
        theirs = inside.settings.get("p")
    ours = layer.settings.get("dropout")
    if theirs and settings.get("training"):
        yield Disagreement(
            layer.path, path, "dropout left on", f"{theirs:g}, in training mode", "off", "PyTorch's is random"
        )
    elif theirs is not None and isinstance(ours, int | float) and not isclose(theirs, ours):
        yield Disagreement(layer.path, path, "dropout", f"{theirs:g}", f"{ours:g}", TRAINING, True)
