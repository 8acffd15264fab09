"""PyTorch's own rounding error: the same, whether a network is in double precision module by module or as a whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from verify_networks import randomise
from verify_sequences import TorchMHA, TorchRNN

from remap.sides.feed import Feed
from remap.sides.torch import double as torch_double
from remap.sides.torch import side as torch_side


def feed(*shape):
    array = np.random.default_rng(0).standard_normal(shape).astype("f4")
    return [Feed("x", "", array, array)]


def measured(network, feeds, ways, monkeypatch):
    """The rounding error of every value, and which ways were gone."""
    gone = []

    def told(way):
        def run(network):
            gone.append(way)
            return way(network)

        return run

    monkeypatch.setattr(torch_side, "WAYS", [told(way) for way in ways])
    trace = torch_side.run(network, "network", feeds)
    return torch_side.measured_noise(network, "network", feeds, trace), gone


class Borrowing(nn.Module):
    """Computes with the weights of a module that it does not call."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 8), nn.Linear(8, 5)

    def forward(self, x):
        return F.linear(self.a(x), self.b.weight)


class Rounding(nn.Module):
    """Takes the precision of another module's weights for its own."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 8), nn.Linear(8, 5)

    def forward(self, x):
        return self.b(self.a(x).to(self.b.weight.dtype).exp().to(x.dtype))


NETWORKS = {
    "convolutions": (lambda: torchvision.models.resnet18(), (1, 3, 33, 33), 1),
    "attention": (TorchMHA, (2, 7, 12), 1),
    "recurrent": (TorchRNN, (2, 7, 5), 1),
    "weights of a module that is not called": (Borrowing, (2, 5), 2),
    "precision of another module": (Rounding, (2, 5), 2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_both_ways_measure_the_same(name, monkeypatch):
    build, shape, tried = NETWORKS[name]
    network = randomise(build())
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found, gone = measured(network, feed(*shape), torch_double.WAYS, monkeypatch)
    assert len(gone) == tried
    assert found
    assert found == measured(network, feed(*shape), [torch_double.whole], monkeypatch)[0]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert {value.dtype for value in network.state_dict().values()} == {value.dtype for value in before.values()}


def test_a_network_is_never_in_double_precision_as_a_whole():
    network = randomise(nn.Sequential(*(nn.Linear(64, 64) for _ in range(6))))
    seen = []
    for module in network:
        module.register_forward_hook(lambda *_: seen.append(sum(p.element_size() * p.numel() for p in parameters)))
    parameters = list(network.parameters())
    trace = torch_side.run(network, "network", feed(1, 64))
    seen.clear()
    assert torch_side.measured_noise(network, "network", feed(1, 64), trace)
    whole = sum(p.element_size() * p.numel() for p in parameters)
    assert max(seen) == whole + whole // 6
