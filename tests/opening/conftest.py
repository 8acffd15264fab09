from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch_dtypes import as_numpy, of_every_dtype

from remap.tensors.tensor import Checkpoint


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
