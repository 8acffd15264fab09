"""Recurrent layers: gates in another order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import permutations

import numpy as np

from remap.verify.explain import Trial
from remap.verify.rerun import arrays_of, rerun
from remap.verify.site import Site

GATES = {"LSTM": 4, "GRU": 3}


def trials(site: Site) -> Iterator[Trial]:
    """Every order of the gates, in all of a layer's weights together."""
    for position, step in enumerate(site.steps):
        cells = [step.layer, getattr(step.layer, "forward_layer", None), getattr(step.layer, "backward_layer", None)]
        count = next((GATES[type(cell).__name__] for cell in cells if type(cell).__name__ in GATES), 0)
        if not count:
            continue
        held = arrays_of(step.layer)
        for order in permutations(range(count)):
            if order != tuple(range(count)):
                changed = {name: _gates(array, order) for name, array in held.items()}
                yield Trial(
                    "gate order",
                    f"the gates in the order {order}",
                    partial(rerun, step.layer, step.inputs, None, changed),
                    position,
                    "weights",
                    "mend the layout of the rule: lstm and gru put the gates in Keras's order",
                )


def _gates(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    blocks = array.reshape(*array.shape[:-1], len(order), -1)
    return np.ascontiguousarray(blocks[..., list(order), :]).reshape(array.shape)
