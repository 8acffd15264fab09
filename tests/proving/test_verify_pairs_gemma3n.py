"""Gemma 3n with its three towers under verify: no alarm with exact GELU in timm too, else the finding of the note."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import MethodType
from typing import Any

import keras_hub
import pytest
import torch
from keras_hub.src.utils.transformers import convert_gemma3n
from verify_hub import arrays, assert_equal, checkpoints

from remap import verify
from remap.rules.load import load_rules
from remap.sides.keras.spec import ModelSource

import test_keras_hub_gemma3n as gemma3n  # isort: skip

pytestmark = pytest.mark.architectures

SHARED = ("k_proj", "v_proj", "k_norm")
"""What published files hold for the layers, too, that take the keys and values of an earlier one."""
UNCALLED = "the Keras model does not call it"
NOT_TRACED = {
    r"text_model/decoder_block_\d/altup": UNCALLED,
    rf"text_model/decoder_block_[23]/attention/(?:{'|'.join(SHARED)})": UNCALLED,
}


def seen_and_heard(self, token_ids, padding_mask, images, input_features, input_features_mask):
    found = self.model(
        input_ids=token_ids,
        attention_mask=padding_mask,
        pixel_values=images[:, 0].permute(0, 3, 1, 2),
        input_features=input_features.movedim(1, -1)[:, 0],
        input_features_mask=~input_features_mask[:, 0].bool(),
    )
    return found.last_hidden_state


@pytest.fixture
def network() -> torch.nn.Module:
    network = checkpoints.transformers_model("Gemma3nForConditionalGeneration", "Gemma3nConfig", gemma3n.SETTINGS)
    first, _, *sharing = (layer.self_attn for layer in network.model.language_model.layers)
    for attention in sharing:
        for name in SHARED:
            attention.add_module(name, deepcopy(getattr(first, name)))
    checkpoints.fill_randomly(network)
    network.forward = MethodType(seen_and_heard, network)
    return network


def hold(network: Any, folder: Path) -> Any:
    config = network.config.to_dict()
    config["text_config"]["rope_theta"] = 1e6
    (folder / "config.json").write_text(json.dumps(config))
    source = ModelSource("gemma3n", lambda: backbone(folder))
    inputs, _ = gemma3n.inputs({"text": 0, "images": 0, "sounds": 0})
    return verify("keras_hub/gemma3n", network.state_dict(), source, network, inputs=arrays(inputs))


def backbone(folder: Path) -> Any:
    whole = convert_gemma3n.MODEL_CONFIGS["mobilenetv5_300m_enc"]
    filters = [[count // gemma3n.NARROWER for count in stage] for stage in whole["stackwise_num_filters"]]
    vision = {**whole, "stackwise_num_filters": filters, "image_shape": (gemma3n.SIZE, gemma3n.SIZE, 3)}
    return keras_hub.models.Backbone.from_preset(str(folder), vision_encoder_config=vision, load_weights=False)


def gelus(network: torch.nn.Module) -> Iterator[torch.nn.GELU]:
    return (module for module in network.model.vision_tower.modules() if isinstance(module, torch.nn.GELU))


def test_no_alarm_with_exact_gelu_in_timm_too(network, tmp_path):
    for module in gelus(network):
        module.approximate = "none"
    found = hold(network, tmp_path)
    assert_equal(found, NOT_TRACED)
    traced = {row.layer for row in found.rows} - set(found.untraced)
    for tower in ("text_model/", "edge_residual/", "gemma3n_audio_encoder/"):
        assert any(layer.startswith(tower) for layer in traced), tower


def test_verify_reaches_what_the_note_says(network, tmp_path):
    found = hold(network, tmp_path)
    assert found.verdict == "differ"
    assert found.weights.equal
    told = (found.finding, *found.further)
    assert len(told) == len({entry.layer for entry in told}) == sum(1 for _ in gelus(network))
    assert found.finding.layer == "conv_stem/activation"
    assert {entry.cause for entry in told} == {"gelu tanh against erf"}
    assert all(entry.proved and entry.blame == "model" for entry in told)
    assert all(entry.module.startswith("vision_tower.timm_model.") for entry in told)
    assert "timm approximates GELU by tanh in the image encoder" in load_rules("keras_hub/gemma3n").about.notes
