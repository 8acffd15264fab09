"""Planning against the inventories that come with remap, where no model is given."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from remap.errors import PlanError
from remap.inventory.inventory import Inventory
from remap.inventory.shipped import shipped_inventory
from remap.planning.make import make_plan
from remap.planning.plan import Plan
from remap.rules.rulefile import RuleFile
from remap.tensors.tensor import Checkpoint


def plan_with_shipped(file: RuleFile, source: Checkpoint, settings: Mapping[str, Any]) -> Plan:
    """The plan against the shipped inventory, of the rule file's models, that is closest in size; where it does not
    close with that, the plan that the rules make alone.

    Raises:
        PlanError: Nothing closes; what has the fewest problems is told.
    """
    alone: Plan | None = None
    failures: list[PlanError] = []
    if not (file.fills or file.keeps or any(param.target for param in file.params.values())):
        try:
            alone = make_plan(file, source, None, **settings)
        except PlanError as error:  # perhaps only a size that the target would tell
            failures.append(error)
    inventory = closest_inventory(file, source)
    if inventory is not None and (alone is None or len(alone.assignments) == len(inventory.variables)):
        try:
            return make_plan(file, source, inventory, **settings)
        except PlanError as error:
            failures.append(error)
    if alone is not None:
        return alone
    if failures:
        raise min(failures, key=lambda error: len(error.problems))
    return make_plan(file, source, None, **settings)


def closest_inventory(file: RuleFile, source: Checkpoint) -> Inventory | None:
    """The shipped inventory, of the rule file's models, whose number of elements is closest to the checkpoint's."""
    size = sum(prod(tensor.shape) for tensor in source.values())
    inventories = [inventory for spec in file.about.models if (inventory := shipped_inventory(spec)) is not None]
    return min(inventories, key=lambda each: abs(size - sum(prod(v.shape) for v in each.variables)), default=None)
