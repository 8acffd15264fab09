"""Names that two files have in common, though their formats write them differently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from remap.errors import Problem, UsageError
from remap.inventory.inventory import Inventory
from remap.layout.tiles import Value
from remap.planning.derived import Derived
from remap.planning.plan import Assignment, Plan
from remap.tensors.tensor import Checkpoint, Tensor

_LEGACY = re.compile(r"(?:model_weights/)?(?P<layer>[^/]+)/(?P<name>.+?)(?::\d+)?")


def plain_names(checkpoint: Checkpoint, inventory: Inventory | None = None) -> dict[str, Tensor]:
    """Tensors by Keras variable path where the format allows it, by their own names otherwise.

    Args:
        checkpoint: A file of any kind.
        inventory: Says which variable each dataset of a ``.weights.h5`` is.
    """
    if checkpoint.format == "Keras legacy h5":
        return {_legacy(name): tensor for name, tensor in checkpoint.items() if "optimizer_weights" not in name}
    if inventory is not None and checkpoint.format.startswith("Keras"):
        paths = {dataset: variable.path for variable in inventory.variables for dataset in variable.weights_h5}
        return {paths.get(name, name): tensor for name, tensor in checkpoint.items()}
    return dict(checkpoint)


def _legacy(name: str) -> str:
    """``fc/fc/kernel:0`` is the path ``fc/kernel``; an inner layer keeps its scopes.

    >>> _legacy("fc/fc/kernel:0"), _legacy("lstm/lstm/lstm_cell/kernel:0"), _legacy("fc/kernel:0")
    ('fc/kernel', 'lstm/lstm_cell/kernel', 'fc/kernel')
    """
    match = _LEGACY.fullmatch(name)
    if match is None:
        return name
    own = match["name"]
    return own if own.startswith(f"{match['layer']}/") else f"{match['layer']}/{own}"


def planned_names(plan: Plan) -> dict[str, Tensor]:
    """What a plan would write, by Keras variable path, as tensors that can be compared.

    Raises:
        UsageError: The plan writes nothing that is moved.
    """
    found = {assignment.name: _planned(assignment) for assignment in plan.assignments}
    if not found:
        raise UsageError(Problem("the rules write nothing", where=str(plan.rules.path)))
    return found


@dataclass(frozen=True, slots=True)
class _Rendering:
    """A planned variable as a computation without inputs."""

    value: Value

    def compute(self, arrays: list[np.ndarray]) -> np.ndarray:
        array = self.value.array()
        self.value.release()
        return array


def _planned(assignment: Assignment) -> Tensor:
    """The variable as a tensor that is computed when it is read."""
    shape, dtype = assignment.shape, assignment.dtype
    derived = Derived(assignment.name, shape, dtype, (), _Rendering(assignment.value))
    return Tensor(assignment.name, shape, dtype, derived.strides, derived)


def aligned(
    a: Mapping[str, Tensor], b: Mapping[str, Tensor]
) -> tuple[list[tuple[str, Tensor, Tensor]], list[str], list[str]]:
    """Pairs with one name, names that only ``a`` has, names that only ``b`` has; all in file order."""
    both = [(name, tensor, b[name]) for name, tensor in a.items() if name in b]
    return both, [name for name in a if name not in b], [name for name in b if name not in a]
