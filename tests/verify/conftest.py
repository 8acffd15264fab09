"""Weights of one's own for every network, and the two sides put together."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torchvision  # noqa: F401  (before TensorFlow)
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))

from remap.target.spec import ModelSource
from remap.verify.run import verify


def randomise(module, seed=0):
    """Fill every parameter and buffer with values of its own, of a size that keeps signals alive."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(7)
        elif name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.9 + 0.1)
        elif tensor.ndim > 1:
            fan_in = max(tensor[0].numel(), 1)
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * (1.5 / fan_in) ** 0.5)
        else:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.5 + (0.75 if "weight" in name else -0.25))
    return module.eval()


@pytest.fixture
def saved(tmp_path):
    """The path of a module's weights."""

    def save(module):
        path = tmp_path / "checkpoint.safetensors"
        save_file({name: value.clone() for name, value in module.state_dict().items()}, path)
        return path

    return save


@pytest.fixture
def hold(tmp_path, saved):
    """Hold a PyTorch module beside the Keras model that a builder makes, by rules given as text or by name."""

    def run(torch_model, keras_builder, rules, checkpoint=None, **options):
        if "\n" in str(rules):
            (tmp_path / "rules.toml").write_text(rules)
            rules = tmp_path / "rules.toml"
        checkpoint = checkpoint or saved(torch_model)
        return verify(rules, checkpoint, ModelSource("the Keras model", keras_builder), torch_model, **options)

    return run
