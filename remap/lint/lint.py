"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from remap.api import open_checkpoint, plan
from remap.errors import Located, PlanError, Problem, ProblemCode
from remap.lint.checkpoint import CHECKPOINT_CHECKS
from remap.lint.finding import LintFinding
from remap.lint.overlap import OVERLAP_CHECKS
from remap.lint.patterns import PATTERN_CHECKS, written_patterns
from remap.lint.unused import UNUSED_CHECKS
from remap.planning.derive import derive_tensors
from remap.planning.match import match_keys
from remap.planning.params import resolve_params
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
        **settings: ``model``, ``target``, ``params`` ... as :func:`remap.api.plan` takes them.

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
    if checkpoint is not None:
        source = open_checkpoint(checkpoint, root=file.source.root, strip=file.source.strip)
        findings += _against(file, source, settings)
    told = {(finding.code, finding.place) for finding in findings}
    findings += [finding for finding in static if (finding.code, finding.place) not in told]
    return sorted(
        dict.fromkeys(findings), key=lambda finding: (str(finding.place.path), finding.place.line, finding.code)
    )


def _against(rules: RuleFile, source: Checkpoint, settings: dict[str, Any]) -> Iterator[LintFinding]:
    params = resolve_params(rules, settings.get("params") or {}, source.path, source, None)
    tensors, _, _ = derive_tensors(rules, source, params)
    claims = match_keys(rules, tensors, params)
    for check in CHECKPOINT_CHECKS:
        yield from check(rules, source, claims)
    try:
        planned = plan(rules, source, **settings)
    except PlanError as error:
        yield from (_problem(problem, rules) for problem in error.problems if problem.code not in _TOLD)
    else:
        for remark in planned.remarks:
            yield LintFinding("R402", remark.text, _place(remark.place, rules), "read it, and decide")


def _problem(problem: Problem, rules: RuleFile) -> LintFinding:
    details = [problem.where if problem.place is None else problem.subject, problem.found]
    if problem.expected:
        details.append(f"expected {problem.expected}")
    message = ": ".join([problem.what, *(detail for detail in details if detail)])
    return LintFinding("R401", message, _place(problem.place, rules), problem.fix or "make the two sides fit", "error")


def _place(place: Located | None, rules: RuleFile) -> Place:
    return place.of("match") if isinstance(place, Place) else Place(rules.path, 1)
