"""The plan of a proof: from the Keras model at hand, rather than from one built once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from remap.arguments import CheckpointLike, Rules, opened, target_of
from remap.inventory.inventory import Inventory
from remap.opening.memory import from_state_dict
from remap.planning.make import make_plan
from remap.planning.plan import Plan
from remap.proving.options import VerifyOptions
from remap.rules.rulefile import RuleFile
from remap.sides.keras.keras_model import inventory_of
from remap.sides.keras.side import KerasSide
from remap.sides.keras.spec import ModelSource
from remap.tensors.tensor import Checkpoint
from remap.tensors.to_numpy import to_numpy


def opened_for(
    rules: Rules, checkpoint: CheckpointLike, model: ModelSource
) -> tuple[RuleFile, Checkpoint, tuple[str, ...]]:
    """Rules and checkpoint; the Keras model has a say in which rules, where they are to be found out."""
    target, initial = target_of(model, None) if rules == "auto" else (None, None)
    return opened(rules, checkpoint, target, initial)


def planned(
    file: RuleFile,
    source: Checkpoint,
    model: ModelSource,
    fresh: KerasSide | None,
    options: VerifyOptions,
    inventory: Inventory | None = None,
    epsilons: Mapping[str, float] | None = None,
) -> Plan:
    """The plan; a fresh model at hand is looked at, rather than built once more, and an inventory at hand is used."""
    from remap.checking.model import initial_values

    settings: dict[str, Any] = {"params": options.params, "allow_code": options.allow_code, "epsilons": epsilons}
    if fresh is None:
        inventory = inventory or inventory_of(model)
        return make_plan(file, source, inventory, initial=initial_values(model, inventory), **settings)
    live = fresh.variables()
    held: dict[str, np.ndarray] = {}

    def initial(variable: Any) -> np.ndarray:
        if variable.path not in held:
            held[variable.path] = np.array(to_numpy(live[variable.path]))
        return held[variable.path]

    return make_plan(file, source, inventory or fresh.inventory(), initial=initial, **settings)


def with_tensors(source: Checkpoint, changed: Mapping[str, np.ndarray]) -> Checkpoint:
    """A checkpoint with some tensors replaced."""
    replaced = from_state_dict(changed)
    return Checkpoint(source.path, source.format, {**source, **replaced}, source.peeled, source.skipped)
