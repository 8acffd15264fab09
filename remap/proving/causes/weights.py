"""Weights that are not those of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from remap.checking.compare import planned_array
from remap.proving.cause import Cause
from remap.proving.site import Site
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of


def trials(site: Site) -> Iterator[Trial]:
    """What the plan says the layer should hold."""
    for position, step in enumerate(site.steps):
        planned = _planned(site, arrays_of(step.layer))
        if planned:
            compute = partial(step.rerun, None, planned)
            yield Trial(f"the planned {', '.join(planned)}", compute, position)


def _planned(site: Site, held: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the plan says, where the layer holds something else."""
    planned = {}
    for assignment in site.row.pair.assignments if site.row.pair else ():
        name = next((name for name in held if assignment.name.endswith(name)), None)
        if name is None or held[name].shape != assignment.shape:
            continue
        wanted = planned_array(assignment, held[name].dtype)
        if not np.array_equal(wanted, held[name]):
            planned[name] = wanted
    return planned


CAUSE = Cause(
    "V407",
    "weights",
    "the Keras layer holds other numbers than the rules make of the checkpoint",
    "weights",
    "write the file again, by remap apply",
    trials,
)
