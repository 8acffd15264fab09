"""Positions counted from another number: rows of one table, taken at another place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.cause import Cause
from remap.proving.limits import SAME_ROWS
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of
from remap.sides.operation import Operation
from remap.sides.vocabulary.keras_hub import POSITIONS
from remap.sides.vocabulary.keras_layers import EMBEDDINGS

TABLES = (POSITIONS, EMBEDDINGS)
"""Weights that may hold a row for each position, the likelier first."""


def trials(site: Site) -> Iterator[Trial]:
    """The rows of the layer's own table that PyTorch takes, where they follow each other."""
    for position, step in enumerate(site.steps):
        held = arrays_of(step.layer)
        table = next((held[name] for name in TABLES if name in held and held[name].ndim == 2), None)
        if table is None or step.output.shape[-1] != table.shape[1] or step.output.ndim < 2:
            continue
        count = step.output.shape[-2]
        own = _first_row(table, step.output)
        for event in site.events:
            theirs = _first_row(table, event.output) if event.operation is Operation.EMBEDDING else None
            if own is None or theirs is None or own == theirs:
                continue
            yield Trial(
                f"positions counted from {theirs} instead of {own}",
                partial(np.broadcast_to, table[theirs : theirs + count], step.output.shape),
                position,
            )


def _first_row(table: np.ndarray, rows: np.ndarray) -> int | None:
    """Where consecutive rows of a table begin in it; None where they are none."""
    if rows.ndim < 2 or rows.shape[-1] != table.shape[1] or rows.shape[-2] > len(table):
        return None
    wanted = rows.reshape(-1, *rows.shape[-2:])[0]
    for start in range(len(table) - len(wanted) + 1):
        if np.allclose(table[start : start + len(wanted)], wanted, rtol=SAME_ROWS, atol=SAME_ROWS):
            return start
    return None


CAUSE = Cause(
    "V505",
    "position offset",
    "the two count positions from another number",
    "model",
    "count positions as PyTorch does, which puts a row for padding before the first",
    trials,
)
