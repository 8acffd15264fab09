"""One tensor of each of torch's dtypes, and what torch says that it holds."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import torch

VIEWS = {torch.bfloat16: torch.int16, torch.float8_e4m3fn: torch.uint8, torch.float8_e5m2: torch.uint8}
EXTENDED = {
    torch.bfloat16: ml_dtypes.bfloat16,
    torch.float8_e4m3fn: ml_dtypes.float8_e4m3fn,
    torch.float8_e5m2: ml_dtypes.float8_e5m2,
}
DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
    torch.bool,
    torch.complex64,
    torch.complex128,
]


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    """What torch says the tensor holds, bit for bit."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype in VIEWS:
        return tensor.view(VIEWS[tensor.dtype]).numpy().view(EXTENDED[tensor.dtype])
    return tensor.numpy()


def of_every_dtype() -> dict[str, torch.Tensor]:
    """One tensor of each dtype, all different; floats with NaN and infinities."""
    torch.manual_seed(0)
    made = {}
    for number, dtype in enumerate(DTYPES):
        if dtype.is_complex:
            value = torch.randn(3, 4, dtype=dtype)
        elif dtype.is_floating_point:
            value = torch.randn(3, 4)
            value[0, 0], value[0, 1] = float("nan"), float("-inf")
            value = value.to(dtype)
        else:
            value = (torch.arange(12).reshape(3, 4) + number).to(dtype)
        made[str(dtype).removeprefix("torch.")] = value
    return made
