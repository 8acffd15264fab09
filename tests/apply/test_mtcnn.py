"""Real trained weights: MTCNN as published for PyTorch, converted, is MTCNN as published for Keras."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

import remap

NETS = {"pnet": ("PNet", 41), "rnet": ("RNet", 24), "onet": ("ONet", 48)}


def torch_weights(net: str) -> Path:
    return Path(str(distribution("facenet-pytorch").locate_file(f"facenet_pytorch/data/{net}.pt")))


def keras_weights(net: str) -> list[np.ndarray]:
    return joblib.load(str(distribution("mtcnn").locate_file(f"mtcnn/assets/weights/{net}.lz4")))


@pytest.fixture(params=NETS)
def net(request):
    return request.param


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_every_bit_of_the_keras_publication(net, suffix, fixtures, load_file, tmp_path, remap_command):
    out = tmp_path / f"{net}{suffix}"
    model = f"{fixtures}/mtcnn/keras_model.py:{net}"
    ran = remap_command("apply", fixtures / f"mtcnn/{net}.toml", torch_weights(net), "-o", out, "--model", model)
    assert ran.code == 0, ran.err
    keras_model = getattr(load_file("mtcnn/keras_model.py"), net)()
    keras_model.load_weights(out)
    published = keras_weights(net)
    assert len(published) == len(keras_model.weights)
    for variable, expected in zip(keras_model.weights, published, strict=True):
        assert variable.numpy().tobytes() == np.ascontiguousarray(expected).tobytes(), variable.path


def test_outputs_are_equal_on_both_sides(net, fixtures, load_file):
    name, size = NETS[net]
    state_dict = torch.load(torch_weights(net), weights_only=True)
    torch_model = getattr(load_file("mtcnn/torch_model.py"), name)().eval()
    torch_model.load_state_dict(state_dict)
    keras_model = getattr(load_file("mtcnn/keras_model.py"), net)()
    remap.load_into(keras_model, fixtures / f"mtcnn/{net}.toml", state_dict)
    x = torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = [output.numpy() for output in torch_model(x)]
    found = [np.asarray(output) for output in keras_model(x.numpy().transpose(0, 2, 3, 1))]
    for ours, theirs in zip(found, expected, strict=True):
        theirs = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
        assert np.abs(ours - theirs).max() <= 3e-6
