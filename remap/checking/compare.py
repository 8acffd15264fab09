"""Comparing live Keras variables with a plan, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from remap.planning.plan import Assignment, Plan
from remap.tensors.to_numpy import to_numpy


class VariableFault(StrEnum):
    """What is wrong with a variable."""

    MISSING = "missing"
    SHAPE = "shape"
    VALUES = "values"


@dataclass(frozen=True, slots=True)
class VariableDifference:
    """A variable that is not what the plan says.

    Args:
        name: Keras path.
        what: What is wrong with it.
        elements: Number of elements that differ.
        largest: Largest absolute difference.
    """

    name: str
    what: VariableFault
    elements: int = 0
    largest: float = 0.0


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check.

    Args:
        variables: Number of variables that were compared.
        nbytes: Their bytes.
        differences: Those that are not equal bit for bit.
        seconds: Time it took, building and loading included.
    """

    variables: int
    nbytes: int
    differences: tuple[VariableDifference, ...]
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether every bit is as planned."""
        return not self.differences


def compare(plan: Plan, live: Mapping[str, Any], progress: Callable[[int], None] | None = None) -> Checked:
    """Hold live variables against a plan, one at a time.

    Args:
        plan: What should be there; its sources are read again.
        live: Keras path to variable.
        progress: Called with the bytes compared.
    """
    differences: list[VariableDifference] = []
    nbytes = 0
    for assignment in plan.assignments:
        variable = live.get(assignment.name)
        difference = (
            VariableDifference(assignment.name, VariableFault.MISSING)
            if variable is None
            else _difference(assignment, to_numpy(variable))
        )
        if difference is not None:
            differences.append(difference)
        assignment.value.release()
        nbytes += assignment.nbytes
        if progress is not None:
            progress(assignment.nbytes)
    return Checked(len(plan.assignments), nbytes, tuple(differences))


def planned_array(assignment: Assignment, dtype: np.dtype | None = None) -> np.ndarray:
    """What a plan says a variable holds, as written and then as the variable's own dtype."""
    array = assignment.value.array().astype(assignment.dtype, copy=False)
    return array if dtype is None else array.astype(dtype, copy=False)


def _difference(assignment: Assignment, held: np.ndarray) -> VariableDifference | None:
    expected = planned_array(assignment, held.dtype)
    if expected.shape != held.shape:
        return VariableDifference(assignment.name, VariableFault.SHAPE)
    bits = f"u{held.dtype.itemsize}" if held.dtype.itemsize <= 8 else "u8"
    left = np.ascontiguousarray(expected).reshape(-1).view(bits)
    right = np.ascontiguousarray(held).reshape(-1).view(bits)
    wrong = int(np.count_nonzero(left != right))
    if not wrong:
        return None
    with np.errstate(all="ignore"):
        apart = np.abs(expected.astype(np.float64) - held.astype(np.float64))
    return VariableDifference(assignment.name, VariableFault.VALUES, wrong, float(np.nanmax(apart, initial=0.0)))
