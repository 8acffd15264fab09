"""TorchScript and torch.export archives."""

from __future__ import annotations

from importlib.metadata import distribution

import pytest
import torch

from remap.opening.open import open_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 3, 3)
        self.bn = torch.nn.BatchNorm2d(3)
        self.tied = self.conv
        self.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2, bias=False)])
        self.register_buffer("offset", torch.arange(3.0).view(3, 1, 1))
        self.plain = torch.ones(3, 1, 1)

    def forward(self, x):
        return self.bn(self.tied(x)) + self.conv(x) + self.offset + self.plain


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Net().eval()


@pytest.mark.parametrize("make", [torch.jit.script, lambda model: torch.jit.trace(model, torch.ones(1, 2, 5, 5))])
def test_torchscript(tmp_path, model, same, make):
    torch.jit.save(make(model), tmp_path / "a.pt")
    found = open_checkpoint(tmp_path / "a.pt")
    truth = torch.jit.load(tmp_path / "a.pt").state_dict()
    assert set(found) == set(truth) == set(model.state_dict())
    same(found, {name: truth[name] for name in found})
    assert found.format == "TorchScript"


def test_plain_attribute_is_listed(tmp_path, model):
    torch.jit.save(torch.jit.script(model), tmp_path / "a.pt")
    reasons = {skipped.name: skipped.reason for skipped in open_checkpoint(tmp_path / "a.pt").skipped}
    assert reasons["plain"] == "tensor that is neither parameter nor buffer"


def test_published_torchscript(same):
    path = str(distribution("silero-vad").locate_file("silero_vad/data/silero_vad.jit"))
    truth = torch.jit.load(path).state_dict()
    found = open_checkpoint(path)
    assert set(found) == set(truth)
    same(found, {name: truth[name] for name in found})


def test_published_safetensors(same):
    from safetensors.torch import load_file

    path = str(distribution("silero-vad").locate_file("silero_vad/data/silero_vad_16k.safetensors"))
    found = open_checkpoint(path)
    truth = load_file(path)
    assert set(found) == set(truth)
    same(found, {name: truth[name] for name in found})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_export(tmp_path, model, same, dtype):
    model = model.to(dtype)
    torch.export.save(torch.export.export(model, (torch.ones(1, 2, 5, 5, dtype=dtype),)), tmp_path / "a.pt2")
    found = open_checkpoint(tmp_path / "a.pt2")
    truth = torch.export.load(tmp_path / "a.pt2").state_dict
    assert set(found) == set(truth)
    same(found, {name: truth[name] for name in found})
    assert [skipped.name for skipped in found.skipped] == ["plain"]
