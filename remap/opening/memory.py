"""A state_dict that is in memory already, as a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from remap.opening.prefixes import Keys
from remap.tensors.dtypes import NAMES, dtype_of
from remap.tensors.tensor import ArrayStorage, Checkpoint, Skipped, Tensor, dense_strides


def from_state_dict(state_dict: Mapping[str, Any], strip: Sequence[str] = ()) -> Checkpoint:
    """A checkpoint over arrays in memory: numpy arrays or torch tensors, on any device.

    Args:
        state_dict: Name to array; what is neither is skipped and listed.
        strip: Patterns of prefixes to take off; those of the usual wrappers go without being told.

    Raises:
        CheckpointError: Only some names have a wrapper's prefix, or two become one.

    >>> from_state_dict({"w": np.zeros((2, 3), "f4")})["w"].shape
    (2, 3)
    """
    keys = Keys(dict(state_dict), "state_dict in memory")
    keys.strip(strip, lightning=False)
    tensors: dict[str, Tensor] = {}
    skipped = list(keys.skipped)
    for name, value in keys.entries.items():
        array = _as_array(value)
        if array is None or array.dtype.name not in NAMES:
            skipped.append(Skipped(name, type(value).__name__))
            continue
        dense = np.ascontiguousarray(array).reshape(array.shape)
        storage = ArrayStorage(dense, f"memory of {name}")
        tensors[name] = Tensor(name, dense.shape, dense.dtype, dense_strides(dense.shape), storage)
    return Checkpoint(Path("memory"), "state_dict in memory", tensors, tuple(keys.peeled), tuple(skipped))


def _as_array(value: Any) -> np.ndarray | None:
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    if not hasattr(value, "detach"):
        return None
    tensor = value.detach().cpu().contiguous()
    name = str(tensor.dtype).removeprefix("torch.")
    if name.startswith(("bfloat16", "float8")):
        # numpy has no such dtype of its own, so torch refuses: the same bytes go over as integers
        import torch

        dtype = dtype_of(name)
        raw = tensor.view(torch.int16 if dtype.itemsize == 2 else torch.uint8)
        return np.asarray(raw.numpy().view(dtype))
    return np.asarray(tensor.numpy())
