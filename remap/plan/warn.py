"""What a reader should know of a plan though nothing in it is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from remap.plan.plan import Plan
from remap.plan.suggest import grouped
from remap.target.inventory import Inventory, Layer

_PASSED_THROUGH = {"Dropout", "Activation", "ReLU", "LeakyReLU", "BatchNormalization"}
_FLAT = {"Flatten", "Reshape"}


def plan_warnings(plan: Plan) -> Plan:
    """The plan with its warnings."""
    return replace(plan, warnings=(*_flattened_dense(plan), *_unknown_epsilon(plan)))


def _flattened_dense(plan: Plan) -> Iterator[str]:
    """A flatten before a Dense orders its inputs; PyTorch's order and Keras's differ."""
    if plan.target is None:
        return
    by_name = {layer.name: layer for layer in plan.target.layers}
    for assignment in plan.assignments:
        if assignment.layout != "dense" or assignment.entry != "kernel" or assignment.variable is None:
            continue
        layer = plan.target.layers[assignment.variable.layer]
        if layer.class_name == "Dense" and _fed_by_flatten(layer, by_name, plan.target):
            yield (
                f"{assignment.name} is fed by a Flatten, and {assignment.place} says layout 'dense': right only if "
                f"PyTorch flattened channels last too; otherwise layout 'dense_after_flatten'"
            )


def _fed_by_flatten(layer: Layer, by_name: dict[str, Layer], target: Inventory) -> bool:
    for name in layer.inputs:
        source = by_name.get(name)
        if source is None:
            continue
        if source.class_name in _FLAT:
            return True
        if source.class_name in _PASSED_THROUGH and _fed_by_flatten(source, by_name, target):
            return True
    return False


def _unknown_epsilon(plan: Plan) -> Iterator[str]:
    if plan.target is not None:
        return
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
