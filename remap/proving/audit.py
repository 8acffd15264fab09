"""The static audit: settings of mapped modules and layers that disagree, found without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remap.inventory.inventory import Inventory, Layer
from remap.planning.plan import Plan
from remap.proving.alignment import align
from remap.proving.audit_attention import attentions
from remap.proving.audit_weightless import KINDS, dropouts
from remap.proving.disagreement import Disagreement
from remap.proving.reference import TracedModule
from remap.proving.settings import (
    keras_crops,
    keras_window,
    pairs_of,
    torch_crops,
    torch_epsilon,
    torch_pads,
    torch_window,
    zero_padding,
)


def audit(plan: Plan, modules: Mapping[str, TracedModule]) -> list[Disagreement]:
    """Every setting that differs between a Keras layer and the PyTorch module that it is made from.

    Args:
        plan: A plan that knows its target.
        modules: Every PyTorch module by path; their settings are looked at, nothing runs.
    """
    assert plan.target is not None
    folded = {entry.layer for entry in plan.epsilons if entry.action == "fold"}
    by_path = {layer.path: layer for layer in plan.target.layers}
    pairs, _ = align(plan, modules, set(modules))
    found: list[Disagreement] = []
    for pair in pairs:
        layer = by_path[pair.layer]
        for path in pair.modules:
            module = modules.get(path)
            if module is not None:
                found += disagreements(path, module.settings, layer, plan.target, pair.layer in folded)
    found += attentions([(pair.layer, pair.modules) for pair in pairs], modules, plan.target)
    return [*found, *_weightless(modules, plan.target)]


def disagreements(
    path: str, torch: Mapping[str, Any], layer: Layer, target: Inventory, folded: bool = False
) -> Iterator[Disagreement]:
    """What differs between one module and one layer."""
    kind = str(torch.get("kind", ""))
    if kind.startswith(("conv", "max_pool", "avg_pool")) and f"{kind[-2]}D" in layer.class_name:
        yield from _window(path, torch, layer, target)
    if kind.endswith("_norm"):
        yield from _norm(path, torch, layer, folded)
    if kind == "multi_head_attention" and "num_heads" in layer.settings:
        heads, own = torch.get("num_heads"), layer.settings["num_heads"]
        if heads != own:
            yield Disagreement(layer.path, path, "heads", str(heads), str(own), "attention is split differently")
    if kind in ("lstm", "gru", "rnn"):
        yield from _recurrent(path, torch, layer, target)


def _window(path: str, torch: Mapping[str, Any], layer: Layer, target: Inventory) -> Iterator[Disagreement]:
    kind = str(torch["kind"])
    rank = int(kind[-2])
    ours, theirs = keras_window(layer.settings, rank), torch_window(torch, rank)
    for setting in ("strides", "dilation", *(["kernel"] if "pool" in kind else [])):
        if ours[setting] != theirs[setting]:
            yield Disagreement(layer.path, path, setting, _told(theirs[setting]), _told(ours[setting]))
    yield from _padding(path, torch, layer, target, rank)
    groups = layer.settings.get("groups")
    if kind.startswith("conv") and groups is not None and groups != torch.get("groups", 1):
        yield Disagreement(layer.path, path, "groups", str(torch.get("groups", 1)), str(groups))
    if torch.get("ceil_mode"):
        yield Disagreement(
            layer.path, path, "ceil_mode", "True", "False", "PyTorch's last window may hang over the edge"
        )
    if torch.get("padding_mode", "zeros") != "zeros":
        yield Disagreement(layer.path, path, "padding mode", str(torch["padding_mode"]), "zeros")
    if kind.startswith("avg_pool") and layer.settings.get("padding") == "same" and torch.get("count_include_pad", True):
        yield Disagreement(
            layer.path, path, "count_include_pad", "True", "False", "PyTorch counts the padding in the mean"
        )


def _padding(path: str, torch: Mapping[str, Any], layer: Layer, target: Inventory, rank: int) -> Iterator[Disagreement]:
    if str(torch["kind"]).startswith("conv_transpose"):
        yield from _crops(path, torch, layer, target, rank)
        return
    wanted = torch_pads(torch, rank)
    if wanted is None:
        return
    window = keras_window(layer.settings, rank)
    before = _padding_before(layer, target, rank)
    padding = layer.settings.get("padding", "valid")
    reach = [(k - 1) * d for k, d in zip(window["kernel"], window["dilation"], strict=True)]
    told = f"{padding}{f' after ZeroPadding {_told(before)}' if any(map(any, before)) else ''}"
    if padding != "same":
        if before != wanted:
            yield Disagreement(layer.path, path, "padding", _told(wanted), told)
        return
    symmetric = tuple((total // 2, total - total // 2) for total in reach)
    strided = any(stride > 1 for stride in window["strides"])
    if wanted != symmetric and not (
        strided and all(2 * a in (r, r + 1) for (a, _), r in zip(wanted, reach, strict=True))
    ):
        yield Disagreement(layer.path, path, "padding", _told(wanted), told)
    elif strided and any(reach):
        yield Disagreement(
            layer.path,
            path,
            "padding",
            f"{_told(wanted)} symmetric",
            f"{told} at stride {_told(window['strides'])}",
            "asymmetric on even sizes, the same on odd ones: --odd-size tells",
        )


def _crops(path: str, torch: Mapping[str, Any], layer: Layer, target: Inventory, rank: int) -> Iterator[Disagreement]:
    """Padding and output_padding of a transposed convolution, as what each side takes off the full output."""
    ours, theirs = keras_crops(layer.settings, rank), torch_crops(torch, rank)
    for after in target.layers:
        if layer.name in after.inputs and after.class_name.startswith("Cropping"):
            more = pairs_of(after.settings.get("cropping"))
            ours = tuple((a + c, b + d) for (a, b), (c, d) in zip(ours, more, strict=True))
    if ours == theirs:
        return
    started = [before for before, _ in ours] == [before for before, _ in theirs]
    given = {name: torch.get(name, 0) for name in ("padding", "output_padding")}
    asked = ", ".join(f"{name} {_plain(value)}" for name, value in given.items())
    yield Disagreement(
        layer.path,
        path,
        "output_padding" if started else "padding",
        f"{asked}: {_told(theirs)} taken off",
        f"{layer.settings.get('padding', 'valid')}: {_told(ours)} taken off",
        "equal where a slice after it makes up for it; Keras on torch takes the odd one off the start",
    )


def _recurrent(path: str, torch: Mapping[str, Any], layer: Layer, target: Inventory) -> Iterator[Disagreement]:
    """Activations inside, the place of the reset gate, and how directions are joined."""
    inside = [entry for entry in target.layers if entry.path.startswith(f"{layer.path}/")]
    wanted = {"activation": str(torch.get("nonlinearity", "tanh")), "recurrent_activation": "sigmoid"}
    seen: set[object] = set()
    for entry in (layer, *inside):
        for setting, theirs in wanted.items():
            ours = entry.settings.get(setting)
            if ours is not None and ours != theirs and (setting, ours) not in seen:
                seen.add((setting, ours))
                yield Disagreement(layer.path, path, setting.replace("_", " "), theirs, str(ours))
        if torch.get("kind") == "gru" and entry.settings.get("reset_after") is False and "reset" not in seen:
            seen.add("reset")
            yield Disagreement(layer.path, path, "reset_after", "True", "False", "no weights make the two equal")
    joined = layer.settings.get("merge_mode", "concat")
    if joined != "concat":
        yield Disagreement(layer.path, path, "merge_mode", "concat", str(joined))


def _padding_before(layer: Layer, target: Inventory, rank: int) -> tuple[tuple[int, int], ...]:
    by_name = {entry.name: entry for entry in target.layers}
    for name in layer.inputs:
        source = by_name.get(name)
        if source is not None and source.class_name.startswith("ZeroPadding"):
            pads = zero_padding(source.settings)
            return pads if len(pads) == rank else ((0, 0),) * rank
    return ((0, 0),) * rank


def _norm(path: str, torch: Mapping[str, Any], layer: Layer, folded: bool) -> Iterator[Disagreement]:
    theirs, ours = torch_epsilon(torch), layer.settings.get("epsilon")
    if theirs is not None and ours is not None and theirs != ours:
        note = "folded into the weights: outputs are equal all the same" if folded else ""
        yield Disagreement(layer.path, path, "epsilon", f"{theirs:g}", f"{ours:g}", note, folded)
    if torch.get("kind") == "batch_norm" and torch.get("track_running_stats") is False:
        yield Disagreement(layer.path, path, "statistics", "of each batch", "stored", "no weights make the two equal")
    if torch.get("kind") == "instance_norm" and layer.settings.get("groups") == 1:
        yield Disagreement(layer.path, path, "groups", "one for each channel", "1")
    if torch.get("kind") == "group_norm" and layer.settings.get("groups") not in (None, torch.get("num_groups")):
        ours, theirs = layer.settings["groups"], torch.get("num_groups")
        if ours != -1:
            yield Disagreement(layer.path, path, "groups", str(theirs), str(ours))


def _weightless(modules: Mapping[str, TracedModule], target: Inventory) -> Iterator[Disagreement]:
    """Layers that no rule pairs, in order, where both sides have as many."""
    for kind, name in (("max_pool", "MaxPooling"), ("avg_pool", "AveragePooling")):
        ours = [layer for layer in target.layers if layer.class_name.startswith(name)]
        theirs = [
            (path, module) for path, module in modules.items() if str(module.settings.get("kind", "")).startswith(kind)
        ]
        if len(ours) != len(theirs):
            continue
        for layer, (path, module) in zip(ours, theirs, strict=True):
            yield from disagreements(path, module.settings, layer, target)
    for name, path, torch, keras, note, harmless in dropouts(modules, target):
        yield Disagreement(name, path, "dropout", torch, keras, note, harmless)
    for setting, told in KINDS:
        for name, path, torch, keras in told(modules, target):
            yield Disagreement(name, path, setting, torch, keras, "paired by their order")


def _plain(value: Any) -> str:
    return _told(value) if isinstance(value, list | tuple) else str(value)


def _told(value: Sequence[Any]) -> str:
    """``((1, 1), (1, 1))`` as ``1``, ``((0, 1), (0, 1))`` as ``(0, 1)``."""
    entries = [entry[0] if isinstance(entry, tuple) and len(set(entry)) == 1 else entry for entry in value]
    return str(entries[0]) if len(set(entries)) == 1 else str(tuple(entries))
