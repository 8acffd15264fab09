"""Straight into a live model: what a plan says is assigned, read back and compared."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from remap.checking.compare import Checked, compare, planned_array
from remap.errors import CheckError, Problem, TargetError
from remap.planning.plan import Assignment, Plan
from remap.sides.keras.assign import assign_arrays
from remap.sides.keras.keras_model import identify

SHOWN = 20


def assign_all(plan: Plan, model: Any) -> Checked:
    """Put a plan's values into a live model, then read every variable back and compare.

    Raises:
        TargetError: The model has not the variables that the plan was made for; nothing was assigned.
        CheckError: A variable does not hold what was assigned.
    """
    started = time.perf_counter()
    live = identify(model, plan.target)
    missing = [assignment.name for assignment in plan.assignments if assignment.name not in live]
    if missing:
        raise TargetError("the model has changed since it was looked at", found=", ".join(missing[:SHOWN]))
    moved = assign_plan(plan, model, live)
    checked = compare(replace(plan, assignments=moved), live)
    if not checked.equal:
        raise CheckError([Problem("a variable does not hold what was assigned", d.name) for d in checked.differences])
    return replace(checked, seconds=time.perf_counter() - started)


def assign_plan(plan: Plan, model: Any, live: Mapping[str, Any]) -> tuple[Assignment, ...]:
    """Assign all that a plan does not keep, one variable in memory at a time; returns what was assigned.

    Args:
        plan: What the model is to hold.
        model: The model.
        live: Its variables by the plan's names.
    """
    moved = tuple(assignment for assignment in plan.assignments if assignment.kind != "kept")
    assign_arrays(model, _values(moved, live))
    return moved


def _values(assignments: tuple[Assignment, ...], live: Mapping[str, Any]) -> Iterator[tuple[Any, np.ndarray]]:
    for assignment in assignments:
        yield live[assignment.name], planned_array(assignment)
        assignment.value.release()
