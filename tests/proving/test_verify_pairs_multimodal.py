"""SAM 3's detector under verify: no alarm where both text encoders see all tokens, else the findings of the notes."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import keras_hub
import numpy as np
import pytest
import torch
from repository import ROOT, import_file
from transformers.models.clip import modeling_clip

from remap import verify
from remap.proving.inputs import InputSpec
from remap.rules.load import load_rules
from remap.sides.keras.spec import ModelSource

pytestmark = pytest.mark.architectures

FOLDER = ROOT / "tests/architectures/keras_hub"
checkpoints = import_file(FOLDER / "hub_checkpoints.py")
sam3 = import_file(FOLDER / "hub_sam3.py")

UNCALLED = "the Keras model does not call it"
NOT_TRACED = {
    "sam3_geometry_encoder/cls_embed": UNCALLED,
    "sam3_detr_decoder/query_embed": UNCALLED,
    "sam3_detr_decoder/reference_points": UNCALLED,
    "sam3_detr_decoder/presence_token": UNCALLED,
    "sam3_detr_decoder/output_layer_norm": "PyTorch calls detr_decoder.output_layer_norm 4 times, Keras 2 times",
}


class Numbered(torch.nn.Module):
    """The detector with the inputs and outputs of keras_hub's: boxes have the number of their image in front."""

    def __init__(self, detector: torch.nn.Module) -> None:
        super().__init__()
        self.detector_model = detector

    def forward(self, boxes: torch.Tensor, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        found = self.detector_model(**inputs, input_boxes=boxes[..., 1:])
        names = ("pred_masks", "pred_boxes", "pred_logits", "presence_logits")
        return {**{name: found[name] for name in names}, "semantic_segs": found.semantic_seg}


def hold(settings: dict[str, Any], folder: Path) -> Any:
    model = checkpoints.transformers_model("Sam3Model", "Sam3Config", settings)
    checkpoints.fill_randomly(model)
    sam3.save_detector(model, folder)
    boxes = np.array([[[0, 0.4, 0.5, 0.3, 0.2], [0, 0.6, 0.3, 0.2, 0.5]]], "float32")
    inputs = [
        InputSpec("pixel_values", (1, 3, sam3.SIZE, sam3.SIZE), torch_name="pixel_values"),
        InputSpec("token_ids", (1, sam3.LENGTH), "int64", "input_ids", bound=31),
        InputSpec("padding_mask", (1, sam3.LENGTH), "int64", "attention_mask"),
        InputSpec("boxes", boxes.shape, torch_name="boxes", values=boxes),
        InputSpec("box_labels", (1, 2), "int64", "input_boxes_labels", values=np.ones((1, 2), "int64")),
    ]
    source = ModelSource("sam3", lambda: keras_hub.models.Backbone.from_preset(str(folder), load_weights=False))
    params = {"grid": sam3.GRID, "tiles": sam3.TILES}
    return verify("keras_hub/sam3", folder, source, Numbered(model).eval(), inputs=inputs, params=params)


def test_no_alarm_where_outputs_are_equal(tmp_path, monkeypatch):
    monkeypatch.setattr(modeling_clip, "create_causal_mask", sam3.bidirectional)
    found = hold(sam3.SETTINGS, tmp_path)
    assert found.verdict == "equal", found.finding
    assert found.weights.equal
    assert found.untraced == NOT_TRACED
    assert {row.outcome for row in found.rows if row.layer not in found.untraced} == {"equal"}


def test_a_text_encoder_that_is_not_causal_is_found(tmp_path):
    found = hold(sam3.SETTINGS, tmp_path)
    assert_found(
        found,
        "sam3_text_encoder/encoder_layer_0/attention/attention_output",
        "attention mask",
        "text encoder is not causal",
    )


def test_norms_with_the_epsilon_of_the_configuration_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(modeling_clip, "create_causal_mask", sam3.bidirectional)
    settings = deepcopy(sam3.SETTINGS)
    settings["geometry_encoder_config"]["layer_norm_eps"] = 1e-3
    assert_found(
        hold(settings, tmp_path),
        "sam3_geometry_encoder/vision_layer_norm",
        "epsilon",
        "norms behind the encoders have the epsilon of the configuration",
    )


def assert_found(found: Any, layer: str, cause: str, note: str) -> None:
    assert found.verdict == "differ"
    assert found.weights.equal
    assert found.finding.layer == layer
    assert re.match(cause, found.finding.cause)
    assert found.finding.proved
    assert found.finding.blame == "model"
    assert note in load_rules("keras_hub/sam3").about.notes
