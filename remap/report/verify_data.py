"""The proof for machines."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import Any

from remap.proving.rows import Row
from remap.proving.verified import Verified
from remap.report.verify_words import headline, proof_lines


def verified_data(found: Verified) -> dict[str, Any]:
    """All that was found, as plain data; numbers that are not finite are None."""
    return {
        "verdict": found.verdict,
        "headline": headline(found),
        "proved": found.proved,
        "torch": found.torch,
        "keras": found.keras,
        "rules": str(found.plan.rules.path),
        "checkpoint": str(found.plan.checkpoint.path),
        "inputs": list(found.inputs),
        "float64": found.float64,
        "weights": None
        if found.weights is None
        else {
            "variables": found.weights.variables,
            "equal": found.weights.equal,
            "differences": [_finite(asdict(entry)) for entry in found.weights.differences],
        },
        "outputs": [row_data(row) for row in found.outputs],
        "sight": {"moved": found.sight.moved, "blind": found.sight.blind},
        "tolerance": found.tolerance,
        "layers": [row_data(row) for row in found.rows],
        "untraced": dict(found.untraced),
        "finding": None if found.finding is None else _finite(asdict(found.finding)),
        "further": [_finite(asdict(entry)) for entry in found.further],
        "audit": [asdict(entry) for entry in found.audit],
        "notes": list(found.notes),
        "lines": [asdict(line) for line in proof_lines(found)],
        "seconds": round(found.seconds, 3),
    }


def row_data(row: Row) -> dict[str, Any]:
    """One line of the table of layers."""
    difference = row.difference
    return _finite(
        {
            "layer": row.layer,
            "module": row.module,
            "kind": row.kind,
            "outcome": row.outcome,
            "alone": row.alone,
            "reason": row.reason,
            "largest": None if difference is None else difference.largest,
            "relative": None if difference is None else difference.relative,
            "cosine": None if difference is None else difference.cosine,
            "scale": None if difference is None else difference.scale,
            "tolerance": row.tolerance,
            "noise": row.noise,
            "torch_shape": list(row.shapes[0]),
            "keras_shape": list(row.shapes[1]),
        }
    )


def _finite(entries: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity."""
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in entries.items()}
