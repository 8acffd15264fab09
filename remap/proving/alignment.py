"""Which module became which layer: read from the plan, where the rules say it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import PurePosixPath

from remap.inventory.inventory import Inventory, Layer
from remap.planning.derived import leaves
from remap.planning.plan import Assignment, Plan
from remap.proving.rows import Pair
from remap.sides.reference import TracedModule
from remap.sides.vocabulary.keras_layers import CELL_ENDINGS, MODEL_ENDINGS


def align(plan: Plan, modules: Mapping[str, TracedModule], called: set[str]) -> tuple[list[Pair], dict[str, str]]:
    """Pair every Keras layer that the plan writes with the modules it is made from.

    Args:
        plan: A plan that knows its target.
        modules: Every PyTorch module by path.
        called: Modules that were called; where one was not, the module around it stands for it.

    Returns:
        The pairs in the order of the target, and the layers without one with the reason.
    """
    assert plan.target is not None
    sources: dict[int, dict[str, list[Assignment]]] = defaultdict(lambda: defaultdict(list))
    untraced: dict[str, str] = {}
    for assignment in plan.assignments:
        if assignment.variable is None or assignment.link is None or assignment.kind != "moved":
            continue
        layer = _layer_of(plan.target, assignment.variable.layer)
        module = assignment.link.holder
        if modules and module not in modules:
            untraced[plan.target.layers[layer].path or assignment.name] = (
                f"no PyTorch module holds {assignment.sources[0]}"
            )
        else:
            sources[layer][_called(module, called)].append(assignment)
    return _pairs(plan, sources, modules), untraced


def _pairs(
    plan: Plan, sources: Mapping[int, Mapping[str, Sequence[Assignment]]], modules: Mapping[str, TracedModule]
) -> list[Pair]:
    assert plan.target is not None
    layers_of: dict[str, set[int]] = defaultdict(set)
    for layer, by_module in sources.items():
        for module in by_module:
            layers_of[module].add(layer)
    holders, layers_of_tensors = _holders(modules), _layers_of_tensors(plan)
    pairs: dict[int, Pair] = {}
    for layer, by_module in sources.items():
        together = [module for module in by_module if len(layers_of[module]) > 1]
        holder = _common(plan.target, layers_of[together[0]]) if len(by_module) == 1 and together else None
        if holder is not None and not _whole(plan.target, holder, together[0], sources):
            holder = None
        record = plan.target.layers[layer if holder is None else holder]
        assignments = tuple(chain.from_iterable(by_module.values()))
        key = layer if holder is None else holder
        if key in pairs:
            pairs[key] = Pair(record.path, record.class_name, pairs[key].modules, pairs[key].assignments + assignments)
            continue
        pairs[key] = Pair(
            record.path,
            record.class_name,
            tuple(by_module),
            assignments,
            bool(together) and holder is None,
            any(module in holders for module in by_module),
            not all(
                module not in holders or _covered(module, modules.get(module), layers_of_tensors, plan.target)
                for module in by_module
            ),
        )
    return [pairs[key] for key in sorted(pairs)]


def _layer_of(target: Inventory, index: int) -> int:
    """A layer's index; for the cell of a recurrent layer, that of the layer, which runs it."""
    layer = target.layers[index]
    parent = _index(target, str(PurePosixPath(layer.path).parent)) if layer.class_name.endswith(CELL_ENDINGS) else None
    return index if parent is None else parent


def _index(target: Inventory, path: str) -> int | None:
    return next((index for index, layer in enumerate(target.layers) if layer.path == path), None)


def _called(module: str, called: set[str]) -> str:
    """The module itself, or the nearest one around it that was called where it was not."""
    path = module
    while path and path not in called:
        path = path.rpartition(".")[0]
    return path if path else module


def _holders(modules: Iterable[str]) -> set[str]:
    """The modules that hold others.

    >>> sorted(_holders(["", "a.b", "c"]))
    ['', 'a']
    """
    holders = set()
    for path in modules:
        while path:
            path = path.rpartition(".")[0]
            holders.add(path)
    return holders


def _layers_of_tensors(plan: Plan) -> dict[str, set[int]]:
    """Tensor to the layers that are made from it; to none where it is left behind."""
    layers: dict[str, set[int]] = {ignored.name: set() for ignored in plan.ignored}
    for entry in plan.assignments:
        for leaf in chain.from_iterable(map(leaves, entry.value.sources)):
            layers.setdefault(leaf.name, set()).update({entry.variable.layer} if entry.variable else ())
    return layers


def _covered(module: str, record: TracedModule | None, layers_of: Mapping[str, set[int]], target: Inventory) -> bool:
    """Whether a module that holds others is what a layer computes: all it holds is left behind or in that layer."""
    prefix = f"{module}." if module else ""
    held = [layers_of.get(prefix + name) for name in record.tensors] if record is not None else []
    own = {layer for layers in held for layer in layers or ()}
    return record is None or (None not in held and (len(own) == 1 or _common(target, own) is not None))


def _common(target: Inventory, layers: set[int]) -> int | None:
    """The innermost layer that holds all of ``layers``, unless that is the model or a model inside of it."""
    parts = [PurePosixPath(target.layers[index].path).parts for index in layers]
    shared: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    index = _index(target, "/".join(shared)) if shared else None
    return index if index is not None and _is_operation(target.layers[index]) else None


def _whole(target: Inventory, holder: int, module: str, sources: Mapping[int, Mapping[str, object]]) -> bool:
    """Whether all that is written inside of a layer comes from one module."""
    prefix = f"{target.layers[holder].path}/"
    return all(
        set(by_module) == {module}
        for layer, by_module in sources.items()
        if target.layers[layer].path.startswith(prefix)
    )


def _is_operation(layer: Layer) -> bool:
    return not layer.class_name.endswith(MODEL_ENDINGS)
