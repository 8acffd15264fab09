"""The weights by themselves: whether the model holds what the rules make of the checkpoint, bit for bit."""

from __future__ import annotations

from pathlib import Path

from remap.checking.assign import assign_plan
from remap.checking.compare import Checked, compare
from remap.errors import CheckError, UsageError
from remap.planning.plan import Plan
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
    live = side.variables(plan.target)
    if as_it_is:
        return compare(plan, live)
    if file is None:
        assign_plan(plan, side.model, live)
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
