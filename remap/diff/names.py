"""Names that two files have in common, though their formats write them differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from remap.errors import Problem, UsageError
from remap.formats.registry import format_named
from remap.inventory.inventory import Inventory
from remap.layout.tiles import Value
from remap.planning.derived import Derived
from remap.planning.plan import Assignment, Plan
from remap.tensors.tensor import Checkpoint, Tensor


def plain_names(checkpoint: Checkpoint, inventory: Inventory | None = None) -> dict[str, Tensor]:
    """Tensors by Keras variable path where the format allows it, by their own names otherwise.

    Args:
        checkpoint: A file of any kind.
        inventory: Says which variable each dataset of a ``.weights.h5`` is.
    """
    form = format_named(checkpoint.kind)
    if form is None:
        return dict(checkpoint)
    return {plain: checkpoint[name] for name, plain in form.plain_names(checkpoint, inventory).items()}


def planned_names(plan: Plan) -> dict[str, Tensor]:
    """What a plan would write, by Keras variable path, as tensors that can be compared.

    Raises:
        UsageError: The plan writes nothing that is moved.
    """
    planned = {assignment.name: _planned(assignment) for assignment in plan.assignments}
    if not planned:
        raise UsageError(Problem("the rules write nothing", where=str(plan.rules.path)))
    return planned


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
