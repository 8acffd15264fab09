from __future__ import annotations

from collections.abc import Callable, Mapping

import ml_dtypes
import numpy as np
import pytest
import torch

from remap.tensors.tensor import Checkpoint

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


def check(found: Checkpoint, expected: Mapping[str, torch.Tensor]) -> None:
    """Same names in the same order, same shapes, dtypes and bits."""
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        truth = as_numpy(tensor)
        array = found[name].array()
        assert array.dtype == truth.dtype, name
        assert array.shape == truth.shape == found[name].shape, name
        assert array.tobytes() == truth.tobytes(), name
        assert array.size == 0 or not array.flags.writeable


@pytest.fixture
def same() -> Callable[[Checkpoint, Mapping[str, torch.Tensor]], None]:
    return check


@pytest.fixture
def every_dtype() -> dict[str, torch.Tensor]:
    return of_every_dtype()


@pytest.fixture
def every_layout() -> dict[str, torch.Tensor]:
    """Views of many kinds: permuted, offset, tied, expanded, empty, scalar."""
    torch.manual_seed(1)
    base = torch.randn(6, 5, 4)
    flat = torch.randn(100)
    return {
        "dense": base,
        "transposed": base.permute(2, 0, 1),
        "sliced": base[1:5:2, :, 1:],
        "tied": base,
        "first": flat[:40].view(8, 5),
        "second": flat[40:100].view(5, 12),
        "channels_last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "expanded": torch.randn(3, 1).expand(3, 7),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(2.5),
        "parameter": torch.nn.Parameter(torch.randn(3)),
        "frozen": torch.nn.Parameter(torch.randn(2, 2), requires_grad=False),
    }
