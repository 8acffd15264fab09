"""The proof for machines."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import Any

from remap.proving.rows import Row
from remap.proving.verified import Verified
from remap.report.verify_words import headline, proof_lines


def verified_data(verified: Verified) -> dict[str, Any]:
    """All that was found, as plain data; numbers that are not finite are None."""
    return {
        "verdict": verified.verdict,
        "headline": headline(verified),
        "proved": verified.proved,
        "torch": verified.torch,
        "keras": verified.keras,
        "rules": str(verified.plan.rules.path),
        "checkpoint": str(verified.plan.checkpoint.path),
        "inputs": list(verified.inputs),
        "drawn": list(verified.drawn),
        "guessed": list(verified.guessed),
        "likelier": list(verified.likelier),
        "float64": verified.float64,
        "weights": None
        if verified.weights is None
        else {
            "variables": verified.weights.variables,
            "equal": verified.weights.equal,
            "differences": [_finite(asdict(entry)) for entry in verified.weights.differences],
        },
        "outputs": [row_data(row) for row in verified.outputs],
        "exchanged": [list(pair) for pair in verified.exchanged],
        "ignored": list(verified.ignored),
        "sight": {"moved": verified.sight.moved, "blind": verified.sight.blind},
        "tolerance": verified.tolerance,
        "layers": [row_data(row) for row in verified.rows],
        "untraced": dict(verified.untraced),
        "finding": None if verified.finding is None else _finite(asdict(verified.finding)),
        "further": [_finite(asdict(entry)) for entry in verified.further],
        "audit": [asdict(entry) for entry in verified.audit],
        "notes": list(verified.notes),
        "lines": [asdict(line) for line in proof_lines(verified)],
        "seconds": round(verified.seconds, 3),
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
            "accounted": row.accounted,
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
