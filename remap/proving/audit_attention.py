"""Settings of attention that disagree: heads, scale, a causal mask, dropout; as far as both sides hold them.

A mask or a dropout that is given to a call is none: :func:`remap.verify` tells those by running both networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from remap.inventory.inventory import Inventory, Layer
from remap.proving.causes import attention_mask, attention_scale, torch_dropout
from remap.proving.causes import heads as split
from remap.proving.disagreement import Disagreement
from remap.proving.mapped import Mapped
from remap.sides.keras.operations import described_layer
from remap.sides.operation import Operation, same_constant, told_apart
from remap.sides.reference import TracedModule
from remap.sides.vocabulary.keras_hub import CAUSAL, NEVER_CAUSAL
from remap.sides.vocabulary.torch_libraries import DROPOUT_INSIDE

TRAINING = "in training only: neither drops anything in inference mode"


def heads(pair: Mapped) -> Iterator[Disagreement]:
    """Into how many heads attention is split, where one layer is made from one module."""
    if pair.operations == (Operation.ATTENTION,) * 2:
        yield from pair.held(split.CAUSE, "attention is split differently")


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
        if described_layer(layer)[0] is not Operation.ATTENTION:
            continue
        held = [paths for name, paths in made_from if name == layer.path or name.startswith(f"{layer.path}/")]
        owners = {_owner(path, modules) for paths in held for path in paths} - {""}
        if len(owners) == 1:
            pair = Mapped(path := owners.pop(), modules[path], layer, target, dict)
            yield from _scale_and_mask(pair)
            yield from _dropout(pair, modules)


def _owner(path: str, modules: Mapping[str, TracedModule]) -> str:
    """The nearest module around a path that is set to something as attention is; empty where none is."""
    while path:
        module = modules.get(path)
        if (
            module is not None
            and module.operation is Operation.ATTENTION
            and {"scale", "causal"} & set(module.settings)
        ):
            return path
        path = path.rpartition(".")[0]
    return ""


def _scale_and_mask(pair: Mapped) -> Iterator[Disagreement]:
    yield from pair.held(attention_scale.CAUSE)
    if pair.theirs.get("causal") is True and _causal(pair.layer, pair.target) is False:
        # PyTorch's False says nothing: a mask may be given all the same
        note = "each position sees those before it in PyTorch"
        yield pair.told("attention mask", "causal", "none", note, code=attention_mask.CAUSE.code)


def _causal(layer: Layer, target: Inventory) -> bool | None:
    """Whether a layer's attention is causal; None where no setting tells."""
    by_path = {entry.path: entry for entry in target.layers}
    around = [by_path[str(path)] for path in PurePosixPath(layer.path).parents if str(path) in by_path]
    for entry in (layer, *around):
        told = next((entry.settings[name] for name in CAUSAL if isinstance(entry.settings.get(name), bool)), None)
        if told is not None:
            return bool(told)
        if entry.class_name in NEVER_CAUSAL:
            return False
    return None


def _dropout(pair: Mapped, modules: Mapping[str, TracedModule]) -> Iterator[Disagreement]:
    inside = modules.get(f"{pair.path}.{DROPOUT_INSIDE}")
    theirs = pair.theirs.get("dropout", inside.settings.get("rate") if inside is not None else None)
    ours = pair.ours.get("dropout")
    if theirs and pair.theirs.get("active"):
        told = f"{theirs:g}, in training mode"
        yield pair.told("dropout left on", told, "off", "PyTorch's is random", code=torch_dropout.CAUSE.code)
    elif theirs is not None and ours is not None and not same_constant(theirs, ours):
        yield pair.told("dropout", *told_apart(theirs, ours), TRAINING, True)
