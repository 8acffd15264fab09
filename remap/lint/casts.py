"""Findings about casts that may lose data, which only writing can tell for sure."""

from __future__ import annotations

from collections.abc import Iterator

from remap.lint.finding import LintFinding
from remap.planning.casts import whole_numbers_held
from remap.planning.plan import Assignment, Plan
from remap.planning.suggest import grouped
from remap.rules.place import Place


def narrowed_integers(plan: Plan) -> Iterator[LintFinding]:
    """R403: integers into floats that have not a digit for each; once for each rule and pair of types."""
    lossy: dict[tuple[Place, str, int], list[Assignment]] = {}
    for assignment in plan.assignments:
        made = assignment.value.recipe.dtype
        held = whole_numbers_held(made, assignment.dtype) if assignment.kind == "moved" else None
        if held is not None:
            told = f"{made.name} into {assignment.dtype.name}"
            lossy.setdefault((assignment.place, told, held), []).append(assignment)
    for (place, told, held), members in lossy.items():
        names = ", ".join(pattern for pattern, _ in grouped(assignment.name for assignment in members))
        yield LintFinding(
            "R403",
            f"{names}: {told}, which holds every whole number up to {held:,} only; others are refused when written",
            place.of("match"),
            "give a model whose variable is of a wider type, or leave it if the numbers are smaller",
        )
