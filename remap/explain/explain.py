"""One name looked up in a plan: its rule, captures, layout, steps, and its place in the output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remap.api import open_checkpoint
from remap.errors import Problem, UsageError
from remap.explain.near import NearMiss, near_sources, near_targets
from remap.formats.registry import written_formats
from remap.inventory.inventory import Inventory, Variable
from remap.inventory.match import VariableNames
from remap.inventory.shipped import shipped_inventory
from remap.planning.derived import leaves
from remap.planning.make import Draft, draft_plan
from remap.planning.plan import Assignment, Ignored
from remap.planning.suggest import Nearest
from remap.rules.load import load_rules
from remap.rules.place import Place


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happens to a source tensor, or how a Keras variable comes about.

    Args:
        name: The full name that was meant.
        side: ``source`` or ``target``.
        assignments: What is made from it, or what makes it; empty where nothing covers it.
        draft: The whole plan, closed or not.
        ignored: Where a rule leaves the tensor behind.
        variable: The target's record, for a variable that nothing writes.
        problems: Problems of the plan that name it.
        near: For a name that nothing covers, the closest rules.
        claimed: The rule that claims a source tensor, whether it makes something of it or not.
    """

    name: str
    side: str
    assignments: tuple[Assignment, ...]
    draft: Draft
    ignored: Ignored | None = None
    variable: Variable | None = None
    problems: tuple[Problem, ...] = ()
    near: tuple[NearMiss, ...] = ()
    claimed: Place | None = None

    @property
    def covered(self) -> bool:
        """Whether a rule says what becomes of it."""
        return bool(self.assignments) or self.ignored is not None


def explain(
    rules: str | Path,
    checkpoint: str | Path,
    name: str,
    *,
    target: Inventory | None = None,
    params: Mapping[str, int | float | str] | None = None,
    allow_code: bool = False,
) -> Explanation:
    """Look a source tensor or a Keras variable up.

    Args:
        rules: Path of a rule file, or the bare name of a shipped one.
        checkpoint: The checkpoint.
        name: Key of a source tensor, or name of a Keras variable; its last components suffice.
        target: The target; without one, the shipped inventory that fits best, if there is any.
        params: Values of parameters.
        allow_code: Whether the rule file may call functions of yours.

    Raises:
        RemapError: Rules or checkpoint cannot be read.
        UsageError: Neither side has such a name.
    """
    file = load_rules(rules)
    source = open_checkpoint(checkpoint, root=file.source.root, strip=file.source.strip)
    targets: list[Inventory | None] = [target]
    if target is None:
        targets = [*filter(None, map(shipped_inventory, file.about.models)), None]
    drafts = [draft_plan(file, source, each, params or {}, allow_code=allow_code) for each in targets]
    draft = min(drafts, key=lambda each: len(each.problems))
    if name in source:
        return _source(draft, name)
    return _target(draft, name)


def _source(draft: Draft, name: str) -> Explanation:
    using = tuple(assignment for assignment in draft.plan.assignments if name in _sources(assignment))
    ignored = next((entry for entry in draft.plan.ignored if entry.name == name), None)
    claimed = next((link for link in draft.claims.links if name in link.claimed()), None)
    near = near_sources(draft.plan.rules, name) if not using and ignored is None and claimed is None else []
    told = _naming(draft, name)
    if claimed is not None and not using:
        told = tuple(dict.fromkeys((*told, *_naming(draft, claimed.module))))
    place = claimed.rule.place if claimed is not None else None
    return Explanation(name, "source", using, draft, ignored, None, told, tuple(near), place)


def _sources(assignment: Assignment) -> set[str]:
    return {leaf.name for source in assignment.value.sources for leaf in leaves(source)} | set(assignment.sources)


def _target(draft: Draft, name: str) -> Explanation:
    plan = draft.plan
    variable = VariableNames(plan.target).find(name) if plan.target is not None else None
    full = variable.path if variable is not None else name
    made = tuple(
        assignment
        for assignment in plan.assignments
        if assignment.name == full or (plan.target is None and assignment.name.endswith(f"/{name}"))
    )
    aside = next((entry for entry in plan.checkpoint.skipped if entry.name == name), None)
    if not made and variable is None and aside is not None:
        raise UsageError("left alone in the checkpoint", where=name, found=aside.reason, fix=aside.fix)
    if not made and variable is None:
        close = Nearest([*plan.checkpoint, *(assignment.name for assignment in plan.assignments)]).to(name)
        raise UsageError(
            "neither side has such a name",
            where=name,
            expected="a key of the checkpoint"
            + (
                ", or a variable of the model"
                if plan.target
                else ", or a variable that the rules write; with --model also one that they do not"
            ),
            fix=f"did you mean {' or '.join(close)}?" if close else "",
        )
    near = [] if made else near_targets(plan.rules, full)
    return Explanation(full, "target", made, draft, None, variable, _naming(draft, full), tuple(near))


def _naming(draft: Draft, name: str) -> tuple[Problem, ...]:
    return tuple(problem for problem in draft.problems if name in problem.names)


def rule_place(assignment: Assignment) -> Place:
    """Where the pattern of an assignment's rule stands."""
    return assignment.place.of("match")


def output_places(assignment: Assignment) -> dict[str, tuple[str, ...]]:
    """Where a variable lies in each output format: format to paths inside of the file."""
    places = {form.label: form.places(assignment.name, assignment.variable) for form in written_formats()}
    return {label: paths for label, paths in places.items() if paths}


def explanation_data(explanation: Explanation) -> dict[str, Any]:
    """An explanation as plain data."""
    return {
        "name": explanation.name,
        "side": explanation.side,
        "covered": explanation.covered,
        "ignored": {"reason": explanation.ignored.reason, "rule": str(explanation.ignored.place)}
        if explanation.ignored
        else None,
        "variables": [_assignment_data(assignment) for assignment in explanation.assignments],
        "near": [
            {"rule": str(miss.place), "pattern": miss.pattern, "matched": miss.matched, "why": miss.why}
            for miss in explanation.near
        ],
        "problems": [str(problem) for problem in explanation.problems],
    }


def _assignment_data(assignment: Assignment) -> dict[str, Any]:
    return {
        "name": assignment.name,
        "kind": assignment.kind,
        "rule": str(assignment.place),
        "captures": dict(assignment.captures),
        "module": assignment.module,
        "layout": assignment.layout,
        "entry": assignment.entry,
        "sources": [
            {
                "name": source.name,
                "shape": list(source.shape),
                "dtype": source.dtype.name,
                "place": source.storage.place,
            }
            for source in assignment.value.sources
        ],
        "steps": [[word, list(shape)] for word, shape in assignment.value.recipe.steps],
        "shape": list(assignment.shape),
        "dtype": assignment.dtype.name,
        "reason": assignment.reason,
        "blind": assignment.blind,
        "places": {form: list(paths) for form, paths in output_places(assignment).items()},
    }
