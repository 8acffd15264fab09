"""MobileNetV5: every bit of an eighth of its width as keras_hub's converter has it; its real shapes are a member."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, save_timm, timm_model
from hub_compare import bound, convert, differing
from keras_hub.src.utils.timm import convert_mobilenetv5

pytestmark = pytest.mark.architectures
ARCHITECTURE = "mobilenetv5_300m"
NARROWER = 8


def test_every_variable_and_the_outputs(tmp_path, monkeypatch):
    whole = convert_mobilenetv5.MODEL_CONFIGS[ARCHITECTURE]
    filters = [[count // NARROWER for count in stage] for stage in whole["backbone"]["stackwise_num_filters"]]
    narrow = {**whole, "backbone": {**whole["backbone"], "stackwise_num_filters": filters}}
    monkeypatch.setitem(convert_mobilenetv5.MODEL_CONFIGS, ARCHITECTURE, narrow)
    model = timm_model(ARCHITECTURE, channel_multiplier=1 / NARROWER, pad_type="same")
    use_exact_gelu(model)
    fill_randomly(model)
    save_timm(model, ARCHITECTURE, tmp_path)
    reference, ours = convert(tmp_path, "keras_hub/mobilenetv5")
    assert differing(reference, ours) == []
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    found = np.asarray(ours(images, training=False))
    with torch.no_grad():
        theirs = model.forward_features(torch.tensor(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    scale = np.abs(theirs).max()
    assert np.abs(theirs[0] - theirs[1]).max() / scale > 0.05, "the outputs hardly depend on the inputs"
    assert np.abs(found - theirs).max() / scale < bound("mobilenetv5")


def use_exact_gelu(model: torch.nn.Module) -> None:
    """keras_hub's GELU in the place of timm's, which approximates it by tanh."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if "GELU" in type(child).__name__:
                setattr(module, name, torch.nn.GELU())
