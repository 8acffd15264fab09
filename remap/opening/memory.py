"""A state_dict that is in memory already, as a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from remap.errors import CheckpointError, Problem
from remap.opening.prefixes import Keys
from remap.tensors.dtypes import NAMES
from remap.tensors.tensor import ArrayStorage, Checkpoint, Skipped, Tensor, dense_strides
from remap.tensors.to_numpy import is_tensor, to_numpy


def from_state_dict(state_dict: Mapping[str, Any], strip: Sequence[str] = ()) -> Checkpoint:
    """A checkpoint over arrays in memory: numpy arrays or a framework's tensors, on any device.

    Args:
        state_dict: Name to array; what is neither is skipped and listed.
        strip: Patterns of prefixes to take off; those of the usual wrappers go without being told.

    Raises:
        CheckpointError: Only some names have a wrapper's prefix, two become one, or a tensor has no numbers.

    >>> from_state_dict({"w": np.zeros((2, 3), "f4")})["w"].shape
    (2, 3)
    """
    keys = Keys(dict(state_dict), "state_dict in memory")
    keys.strip(strip, lightning=False)
    tensors: dict[str, Tensor] = {}
    skipped = list(keys.skipped)
    problems: list[Problem] = []
    for name, value in keys.entries.items():
        array = _array(name, value, problems) if is_tensor(value) else None
        if array is None or array.dtype.name not in NAMES:
            skipped.append(Skipped(name, type(value).__name__))
            continue
        dense = np.ascontiguousarray(array).reshape(array.shape)
        storage = ArrayStorage(dense, f"memory of {name}")
        tensors[name] = Tensor(name, dense.shape, dense.dtype, dense_strides(dense.shape), storage)
    if problems:
        raise CheckpointError(problems)
    return Checkpoint(Path("memory"), "state_dict in memory", tensors, tuple(keys.peeled), tuple(skipped))


def _array(name: str, value: Any, problems: list[Problem]) -> np.ndarray | None:
    """The numbers of a tensor; where there are none, None and what is wrong with it."""
    try:
        return to_numpy(value)
    except CheckpointError as error:
        problems += [replace(problem, where=name) for problem in error.problems]
        return None
