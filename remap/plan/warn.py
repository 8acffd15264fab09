"""What a reader should know of a plan though nothing in it is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from remap.plan.infer import Graph
from remap.plan.params import sizes_of
from remap.plan.plan import Assignment, Plan
from remap.plan.suggest import grouped
from remap.target.inventory import Inventory, Layer

KERAS_EPSILON = 1e-3
"""What Keras's normalisation layers take when nothing is said; PyTorch's take 1e-5 (RMSNorm: the dtype's own)."""
_NORMALISATIONS = {"LayerNormalization", "GroupNormalization", "RMSNormalization"}

_ORDERED_BY_A_FLATTEN = {("dense", "kernel"), ("batch_normalization", "moving_mean")}


def plan_warnings(plan: Plan) -> Plan:
    """The plan with its warnings."""
    if plan.target is None:
        return replace(plan, warnings=tuple(_unknown_epsilon(plan)))
    found = (_flattened_dense, _other_channels, _unfoldable_epsilon, _reset_before)
    return replace(plan, warnings=tuple(warning for find in found for warning in find(plan, plan.target)))


def _flattened_dense(plan: Plan, target: Inventory) -> Iterator[str]:
    """A flatten before a Dense orders its inputs; PyTorch's order and Keras's differ."""
    graph = Graph(target)
    for assignment, layer in _layers(plan, target, {"Dense", "BatchNormalization"}):
        if assignment.layout not in ("dense", "batch_normalization") or assignment.entry not in (
            "kernel",
            "moving_mean",
        ):
            continue
        if graph.flatten_before(layer) is None or graph.channels_before(layer) == assignment.shape[0]:
            continue
        yield (
            f"{assignment.name} is fed by a Flatten, and {assignment.place} says layout '{assignment.layout}': right "
            f"only if PyTorch flattened channels last too; otherwise layout '{assignment.layout}_after_flatten'"
        )


def _other_channels(plan: Plan, target: Inventory) -> Iterator[str]:
    """Channels that the rule says, where the model has another number."""
    graph = Graph(target)
    rules = {rule.place: rule.spec for rule in plan.rules.renames}
    for assignment in plan.assignments:
        rule = rules.get(assignment.place)
        if rule is None or not rule.sizes or assignment.variable is None:
            continue
        inferring = plan.rules.layout_of(rule)[assignment.entry].infer
        told = sizes_of(rule.sizes, plan.params) if inferring else {}
        for axis, what in inferring.items():
            size = graph.size(what, target.layers[assignment.variable.layer])
            if axis in told and size not in (None, told[axis]):
                yield f"{assignment.name}: {assignment.place} says {axis} = {told[axis]}, the model has {size} channels"


def _unfoldable_epsilon(plan: Plan, target: Inventory) -> Iterator[str]:
    """Epsilons that no weight can make up for, where the rule names another one or Keras's default was left."""
    declared = {rule.place: rule.spec.epsilon for rule in plan.rules.renames}
    found: dict[tuple[float, float | None], dict[str, None]] = {}
    for assignment, layer in _layers(plan, target, _NORMALISATIONS):
        epsilon, source = layer.settings.get("epsilon"), declared.get(assignment.place)
        if epsilon is not None and epsilon != source and (source is not None or epsilon == KERAS_EPSILON):
            found.setdefault((epsilon, source), {})[layer.path] = None
    for (epsilon, source), layers in found.items():
        told = f"the rule says {source:g}" if source is not None else "PyTorch's default is 1e-5"
        yield f"{_several(layers)}: epsilon {epsilon:g}, {told}; weights cannot make up for it, the model can"


def _reset_before(plan: Plan, target: Inventory) -> Iterator[str]:
    """A GRU that resets before the matrix product is another function than PyTorch's."""
    layers = {layer.path: None for _, layer in _layers(plan, target, {"GRUCell"})
              if layer.settings.get("reset_after") is False}  # fmt: skip
    if layers:
        yield f"{_several(layers)}: reset_after=False, PyTorch's GRU resets after; weights cannot make up for it"


def _unknown_epsilon(plan: Plan) -> Iterator[str]:
    layers = [
        assignment.name.rpartition("/")[0]
        for assignment in plan.assignments
        if assignment.entry == "moving_variance" and plan.rules.batchnorm.target_epsilon is None
    ]
    for pattern, members in grouped(layers):
        yield (
            f"the epsilon of {pattern}{f' ({len(members)})' if len(members) > 1 else ''} is not compared: no model "
            f"is given; Keras's default is 1e-3, PyTorch's 1e-5"
        )


def _layers(plan: Plan, target: Inventory, classes: set[str]) -> Iterator[tuple[Assignment, Layer]]:
    """What moves into layers of some classes."""
    for assignment in plan.assignments:
        if assignment.kind == "moved" and assignment.variable is not None:
            layer = target.layers[assignment.variable.layer]
            if layer.class_name in classes:
                yield assignment, layer


def _several(layers: Iterable[str] | Mapping[str, Any]) -> str:
    patterns = grouped(layers)
    return ", ".join(f"{pattern} ({len(members)})" if len(members) > 1 else pattern for pattern, members in patterns)
