"""A recording tells what every call computes, also one that was made before calls had operations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F
from verify_networks import randomise

import remap
from remap.proving.recording import KEY, load_recording
from remap.sides.operation import Operation


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.out = nn.Conv2d(3, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Linear(4, 2)

    def forward(self, x):
        return self.out(F.gelu(self.pool(self.conv(x)).flatten(1), approximate="tanh"))


@pytest.fixture
def recorded(saved, tmp_path):
    network = randomise(Net())
    reference = remap.record(network, saved(network), tmp_path / "net.safetensors", ["float32[1,3,8,8]"])
    return reference, tmp_path / "net.safetensors"


def as_before(path):
    """The recording with PyTorch's own words alone."""
    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()[KEY])
        arrays = {name: np.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    for entry in (*about["calls"], *about["modules"].values()):
        entry["settings"] = entry.pop("told")
        del entry["operation"]
    save_file(arrays, path, metadata={KEY: json.dumps(about)})


@pytest.mark.parametrize("old", [False, True])
def test_operations_come_back(old, recorded):
    reference, path = recorded
    if old:
        as_before(path)
    again = load_recording(path)
    for one, other in zip(reference.trace.calls, again.trace.calls, strict=True):
        assert (one.name, one.operation, one.settings, one.told) == (
            *(other.name, other.operation, other.settings),
            other.told,
        )
    assert again.modules["conv"] == reference.modules["conv"]
    operations = [call.operation for call in again.trace.calls if call.operation is not Operation.OTHER]
    assert operations == [
        *(Operation.CONVOLUTION, Operation.GLOBAL_AVERAGE_POOLING, Operation.FLATTEN, Operation.ACTIVATION),
        Operation.LINEAR,
    ]
    assert again.modules["conv"].settings["padding"] == ((1, 1), (1, 1))
