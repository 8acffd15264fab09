"""What another process does with a checkpoint that it is sent."""

from __future__ import annotations

import pickle


def read(data: bytes) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Every tensor of a pickled checkpoint: its dtype, shape and bytes."""
    checkpoint = pickle.loads(data)
    return {name: (tensor.dtype.name, tensor.shape, tensor.array().tobytes()) for name, tensor in checkpoint.items()}
