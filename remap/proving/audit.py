"""The static audit: settings of mapped modules and layers that disagree, found without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain

from remap.inventory.inventory import Inventory
from remap.planning.plan import Plan
from remap.proving.alignment import align
from remap.proving.audit_attention import attentions, heads
from remap.proving.audit_layers import normalisation, recurrent
from remap.proving.audit_weightless import activations, dropouts, interpolations
from remap.proving.audit_window import windows
from remap.proving.disagreement import Disagreement
from remap.proving.mapped import LayerSizes, Mapped, Subject
from remap.sides.keras.operations import described_layer
from remap.sides.operation import POOLING
from remap.sides.reference import TracedModule

SUBJECTS: tuple[Subject, ...] = (windows, normalisation, heads, recurrent)
"""What is compared between a module and the layer that is made from it; each setting is told by one of them."""


def audit(plan: Plan, modules: Mapping[str, TracedModule], sizes: LayerSizes) -> list[Disagreement]:
    """Every setting that differs between a Keras layer and the PyTorch module that it is made from.

    Args:
        plan: A plan that knows its target.
        modules: Every PyTorch module by path; their settings are looked at, nothing runs.
        sizes: Tells the spatial sizes of layers' inputs, where padding depends on them.
    """
    assert plan.target is not None
    sizes = cache(sizes)
    folds = _folds(plan)
    by_path = {layer.path: layer for layer in plan.target.layers}
    pairs, _ = align(plan, modules, set(modules))
    mapped = [
        Mapped(path, modules[path], by_path[pair.layer], plan.target, sizes, folds.get(pair.layer))
        for pair in pairs
        for path in pair.modules
        if path in modules
    ]
    disagreements = list(chain.from_iterable(map(_compared, mapped)))
    disagreements += attentions([(pair.layer, pair.modules) for pair in pairs], modules, plan.target)
    disagreements += chain.from_iterable(map(_compared, _poolings(modules, plan.target, sizes)))
    for told in (dropouts, activations, interpolations):
        disagreements += told(modules, plan.target)
    return disagreements


def _folds(plan: Plan) -> dict[str, float]:
    """The PyTorch epsilon that each layer's weights were folded from, by the layer's path in the target."""
    source = {entry.layer: entry.source for entry in plan.epsilons if entry.action == "fold"}
    return {
        assignment.layer: source[assignment.link.layer]
        for assignment in plan.assignments
        if assignment.link is not None and assignment.link.layer in source
    }


def _compared(pair: Mapped) -> Iterator[Disagreement]:
    return chain.from_iterable(subject(pair) for subject in SUBJECTS)


def _poolings(modules: Mapping[str, TracedModule], target: Inventory, sizes: LayerSizes) -> Iterator[Mapped]:
    """Poolings, which no rule pairs, in order, where both sides have as many."""
    for operation in POOLING:
        ours = [layer for layer in target.layers if described_layer(layer)[0] is operation]
        theirs = [(path, module) for path, module in modules.items() if module.operation is operation]
        if len(ours) == len(theirs):
            for layer, (path, module) in zip(ours, theirs, strict=True):
                yield Mapped(path, module, layer, target, sizes)
