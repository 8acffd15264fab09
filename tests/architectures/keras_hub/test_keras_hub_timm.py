"""Rule files for timm checkpoints: every bit as keras_hub's own converter has it, outputs as PyTorch's."""

from __future__ import annotations

from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, save_timm, settle, timm_model
from hub_compare import bound, convert, differing
from hub_timm import CASES, TimmCase
from safetensors.torch import load_file, save_file

import remap

pytestmark = pytest.mark.architectures


@pytest.fixture(scope="module")
def saved(request, tmp_path_factory) -> tuple[TimmCase, torch.nn.Module, Path]:
    """A case, its model with random weights, and the folder that they are saved in."""
    case = request.param
    model = timm_model(case.architecture)
    fill_randomly(model)
    settle(model, case.size)
    folder = tmp_path_factory.mktemp(case.architecture)
    save_timm(model, case.architecture, folder)
    return case, model, folder


@pytest.mark.parametrize("saved", CASES, ids=str, indirect=True)
def test_every_variable_is_as_keras_hub_loads_it(saved, tmp_path):
    case, _, folder = saved
    yardstick = with_bare_numbers(folder, tmp_path) if case.rules == "hgnetv2" else folder
    reference, ours = convert(folder, f"keras_hub/{case.rules}", yardstick)
    assert differing(reference, ours) == []


@pytest.fixture
def float64():
    """Keras in float64, also for the layers that keras_hub builds without passing its dtype on."""
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("saved", [case for case in CASES if case.outputs], ids=str, indirect=True)
def test_outputs_are_those_of_timm(saved, float64):
    case, model, folder = saved
    twin = keras_hub.models.Backbone.from_preset(str(folder), load_weights=False)
    remap.load_into(twin, f"keras_hub/{case.rules}", folder)
    images = np.random.default_rng(0).normal(size=(2, case.size, case.size, 3)).astype("float32")
    ours = twin(images, training=False)
    ours = np.asarray(list(ours.values())[-1] if isinstance(ours, dict) else ours)
    with torch.no_grad():
        features = model.double().forward_features(torch.tensor(images).double().permute(0, 3, 1, 2))
    theirs = features.permute(0, 2, 3, 1).numpy()
    scale = np.abs(theirs).max()
    assert np.abs(theirs[0] - theirs[1]).max() / scale > 0.05, "the outputs hardly depend on the inputs"
    low, high = case.apart or (0, bound(case.rules))
    assert low <= np.abs(ours - theirs).max() / scale <= high


def with_bare_numbers(folder: Path, other: Path) -> Path:
    """A copy whose affine blocks have numbers of shape (): keras_hub's converter does not take timm's (1,)."""
    tensors = load_file(folder / "model.safetensors")
    bare = {name: tensor.reshape(()) if ".lab." in name else tensor for name, tensor in tensors.items()}
    save_file(bare, other / "model.safetensors")
    (other / "config.json").write_text((folder / "config.json").read_text())
    return other
