"""The report for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from remap.api import Result
from remap.planning.plan import Plan
from remap.report.account import account, rows, settled
from remap.report.pairs import module_pairs


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan as plain data: both sides, every module with its layer, every variable, the account."""
    checkpoint = plan.checkpoint
    return {
        "rules": str(plan.rules.path),
        "recognised": list(plan.recognised),
        "checkpoint": {
            "path": str(checkpoint.path),
            "format": checkpoint.format,
            "tensors": len(checkpoint),
            "bytes": checkpoint.nbytes,
            "peeled": list(checkpoint.peeled),
            "skipped": [{"name": skipped.name, "reason": skipped.reason} for skipped in checkpoint.skipped],
        },
        "target": plan.target.model if plan.target else None,
        "account": asdict(account(plan)),
        "rows": [asdict(row) for row in rows(plan)],
        "pairs": [
            {"module": pair.module, "layer": pair.layer, "layout": pair.layout, "rule": str(pair.place)}
            for pair in module_pairs(plan)
        ],
        "settled": [asdict(item) for item in settled(plan)],
        "epsilons": [asdict(mismatch) for mismatch in plan.epsilons],
        "warnings": list(plan.warnings),
        "params": dict(plan.params),
        "bytes": plan.nbytes,
        "variables": [
            {
                "name": assignment.name,
                "shape": list(assignment.shape),
                "dtype": assignment.dtype.name,
                "kind": assignment.kind,
                "sources": list(assignment.sources),
                "layout": assignment.layout,
                "rule": str(assignment.place),
                "reason": assignment.reason,
                "blind": assignment.blind,
            }
            for assignment in plan.assignments
        ],
    }


def result_data(result: Result) -> dict[str, Any]:
    """What :func:`remap.api.apply` did, as plain data."""
    written, checked = result.written, result.checked
    return {
        **plan_data(result.plan),
        "written": None
        if written is None
        else {
            "path": str(written.path),
            "format": written.format,
            "bytes": written.bytes,
            "seconds": round(written.seconds, 4),
            "load": written.load_line,
            "not_finite": [asdict(variable) for variable in written.not_finite],
        },
        "checked": None
        if checked is None
        else {"variables": checked.variables, "equal": checked.equal, "seconds": round(checked.seconds, 3)},
        "seconds": round(result.seconds, 4),
    }
