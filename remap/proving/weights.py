"""The weights by themselves: whether the model holds what the rules make of the checkpoint, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from remap.checking.compare import Checked, compare, planned_array
from remap.checking.model import settle
from remap.errors import CheckError, UsageError
from remap.planning.plan import Plan
from remap.sides.keras.keras_model import identify
from remap.sides.keras.side import KerasSide


def put_weights(plan: Plan, side: KerasSide, file: Path | None, as_it_is: bool = False) -> Checked:
    """Give a fresh model its weights and read them back.

    Args:
        plan: What it should hold.
        side: The model.
        file: A Keras weights file to load; without it the plan's values are assigned.
        as_it_is: Whether nothing is assigned: the model holds its weights already.

    Raises:
        CheckError: Keras does not load the file.
    """
    live = identify(side.model, plan.target)
    if as_it_is:
        return compare(plan, live)
    if file is None:
        _assign(plan, live)
        settle(side.model)
    else:
        if not file.exists():
            raise UsageError("no such file", where=str(file))
        try:
            side.model.load_weights(str(file))
        except Exception as error:
            raise CheckError(
                "Keras does not load the file", where=str(file), found=f"{type(error).__name__}: {str(error)[:500]}"
            ) from error
    return compare(plan, live)


def _assign(plan: Plan, live: Mapping[str, Any]) -> None:
    for assignment in plan.assignments:
        if assignment.kind != "kept":
            live[assignment.name].assign(planned_array(assignment))
            assignment.value.release()
