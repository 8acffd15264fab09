"""In which order a rule puts the outputs of a layer: around a flatten or a pixel shuffle it is not PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remap.checking.compare import planned_array
from remap.planning.plan import Assignment


def output_order(assignments: Sequence[Assignment]) -> np.ndarray | None:
    """Position in PyTorch's outputs of each of Keras's, read off the planned weights; None where they agree.

    The smallest and largest weight of an output tell it from the others; where they do not, nothing is said.
    """
    for assignment in assignments:
        value = assignment.value
        if len(value.sources) != 1 or not assignment.shape:
            continue
        torch = value.sources[0].array()
        keras = planned_array(assignment)
        if torch.ndim == 0 or torch.size != keras.size or torch.shape[0] != keras.shape[-1]:
            continue
        order = _matched(_ends(torch.reshape(len(torch), -1)), _ends(keras.reshape(-1, keras.shape[-1]).T))
        value.release()
        if order is not None:
            return None if np.array_equal(order, np.arange(len(order))) else order
    return None


def in_order(assignments: Sequence[Assignment], array: np.ndarray) -> np.ndarray | None:
    """PyTorch's output with its channels in Keras's order; None where the rule keeps the order."""
    order = output_order(assignments)
    if order is None:
        return None
    axis = 1 if array.ndim >= 3 and array.shape[1] == len(order) else -1
    return np.take(array, order, axis) if array.shape[axis] == len(order) else None


def _ends(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1).astype(np.float64)


def _matched(torch: np.ndarray, keras: np.ndarray) -> np.ndarray | None:
    torch_order, keras_order = np.lexsort(torch.T), np.lexsort(keras.T)
    ordered = torch[torch_order]
    if not np.array_equal(ordered, keras[keras_order]) or len(np.unique(ordered, axis=0)) != len(ordered):
        return None
    order = np.empty(len(torch), np.int64)
    order[keras_order] = torch_order
    return order
