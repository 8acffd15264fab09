"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from remap.api import open_checkpoint, plan
from remap.errors import Located, PlanError, Problem, ProblemCode
from remap.lint.allowed import unanswered
from remap.lint.casts import narrowed_integers
from remap.lint.checkpoint import CHECKPOINT_CHECKS
from remap.lint.finding import LintFinding
from remap.lint.overlap import OVERLAP_CHECKS
from remap.lint.patterns import PATTERN_CHECKS, written_patterns
from remap.lint.unused import UNUSED_CHECKS
from remap.planning.derive import derive_tensors
from remap.planning.match import match_keys
from remap.planning.operate import Caller
from remap.planning.params import resolve_params
from remap.planning.plan import Plan
from remap.rules.load import load_rules
from remap.rules.place import Place
from remap.rules.rulefile import RuleFile
from remap.tensors.tensor import Checkpoint

_TOLD = {ProblemCode.IDLE_RULE, ProblemCode.CONTESTED}
"""Problems of a plan that have codes of their own."""


def lint(rules: str | Path, checkpoint: str | Path | None = None, **settings: Any) -> list[LintFinding]:
    """Everything that can be said of a rule file without converting.

    Args:
        rules: Path of a rule file, or the bare name of a shipped one.
        checkpoint: A checkpoint to hold it against.
        **settings: ``model``, ``target``, ``params``, ``torch`` ... as :func:`remap.api.plan` takes them.

    Returns:
        Findings in the order of file and line.

    Raises:
        RuleError: The rule file is wrong by itself.
        CheckpointError: The checkpoint cannot be read.
    """
    file = load_rules(rules)
    findings = [finding for pattern in written_patterns(file) for check in PATTERN_CHECKS for finding in check(pattern)]
    findings += [finding for check in UNUSED_CHECKS for finding in check(file)]
    static = [finding for check in OVERLAP_CHECKS for finding in check(file)]
    chosen: set[Place] = set()
    if checkpoint is not None:
        source = open_checkpoint(checkpoint, root=file.source.root, strip=file.source.strip)
        findings += _against(file, source, settings, chosen)
        findings = [each for each in findings if not (each.code == "R303" and each.place in chosen)]
    told = {(finding.code, finding.place) for finding in findings}
    findings += [finding for finding in static if (finding.code, finding.place) not in told]
    left = unanswered(file, findings, checkpoint is not None)
    return sorted(dict.fromkeys(left), key=lambda each: (str(each.place.path), each.place.line, each.code))


def _against(
    rules: RuleFile, source: Checkpoint, settings: dict[str, Any], chosen: set[Place]
) -> Iterator[LintFinding]:
    params = resolve_params(rules, settings.get("params") or {}, source.path, source, None)
    try:
        tensors, _, _ = derive_tensors(rules, source, params, Caller(bool(settings.get("allow_code"))))
    except PlanError as error:
        yield from (_problem(problem, rules) for problem in error.problems)
        return
    claims = match_keys(rules, tensors, params)
    findings = [finding for check in CHECKPOINT_CHECKS for finding in check(rules, source, claims)]
    try:
        planned = plan(rules, source, **settings)
    except PlanError as error:
        off = any(problem.code is ProblemCode.PREFIX for problem in error.problems)
        yield from (finding for finding in findings if not (off and finding.code == "R101"))
        yield from (_problem(problem, rules) for problem in error.problems if problem.code not in _TOLD)
    else:
        yield from findings
        if planned.target is not None:
            chosen.update(_chosen(planned))
        for remark in planned.remarks:
            yield LintFinding("R402", remark.text, _place(remark.place, rules), "read it, and decide")
        yield from narrowed_integers(planned)


def _chosen(planned: Plan) -> set[Place]:
    """Where rules name layers by names that the model's author gave: those have no rank."""
    drifting: dict[Place, bool] = {}
    for assignment in planned.assignments:
        variable = assignment.variable
        if assignment.link is not None and variable is not None:
            place = assignment.place.of("to")
            drifting[place] = drifting.get(place, False) or variable.address != variable.path
    return {place for place, drifts in drifting.items() if not drifts}


def _problem(problem: Problem, rules: RuleFile) -> LintFinding:
    details = [problem.where if problem.place is None else problem.subject, problem.found]
    if problem.expected:
        details.append(f"expected {problem.expected}")
    message = ": ".join([problem.what, *(detail for detail in details if detail)])
    return LintFinding("R401", message, _place(problem.place, rules), problem.fix or "make the two sides fit", "error")


def _place(place: Located | None, rules: RuleFile) -> Place:
    return place.of("match") if isinstance(place, Place) else Place(rules.path, 1)
