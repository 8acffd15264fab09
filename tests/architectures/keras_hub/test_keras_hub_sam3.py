"""SAM 3's detector: every bit as keras_hub's own converter has it, outputs as PyTorch's where its graph allows."""

from __future__ import annotations

from typing import Any

import keras_hub
import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, transformers_model
from hub_compare import bound, differing
from hub_sam3 import BOXES, GRID, LENGTH, SETTINGS, SIZE, TILES, bidirectional, save_detector
from transformers.models.clip import modeling_clip

import remap

pytestmark = pytest.mark.architectures
ROUNDING = bound("sam3")
"""Of float32, through the few layers of these models."""


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    model = transformers_model("Sam3Model", "Sam3Config", SETTINGS)
    fill_randomly(model)
    return model


@pytest.fixture(scope="module")
def models(model, tmp_path_factory) -> tuple[Any, Any]:
    """As keras_hub loads it, and as remap does."""
    folder = tmp_path_factory.mktemp("sam3")
    save_detector(model, folder)
    with pytest.warns(UserWarning, match="Skipping mask_decoder.pixel_decoder.conv_layers.2"):
        reference = keras_hub.models.Backbone.from_preset(str(folder))
    ours = keras_hub.models.Backbone.from_preset(str(folder), load_weights=False)
    remap.load_into(ours, "keras_hub/sam3", folder, params={"grid": GRID, "tiles": TILES})
    return reference, ours


def test_every_variable_is_as_keras_hub_loads_it(models):
    reference, ours = models
    assert differing(reference, ours) == []


def inputs(seeds: dict[str, int], label: int = 1) -> tuple[dict[str, np.ndarray], dict[str, torch.Tensor]]:
    """One image, a text with two tokens of padding, and two boxes of one label."""
    rng = {name: np.random.default_rng(seed) for name, seed in seeds.items()}
    images = rng["image"].normal(size=(1, SIZE, SIZE, 3)).astype("float32")
    ids = rng["text"].integers(3, 31, (1, LENGTH), "int32")
    mask = np.array([[1] * (LENGTH - 2) + [0, 0]], "int32")
    boxes = rng["boxes"].uniform(0.2, 0.6, (1, BOXES, 4)).astype("float32")
    labels = np.full((1, BOXES), label, "int32")
    numbered = np.concatenate([np.zeros((1, BOXES, 1), "float32"), boxes], -1)
    keras = {"pixel_values": images, "token_ids": ids, "padding_mask": mask, "boxes": numbered, "box_labels": labels}
    theirs = {
        "pixel_values": torch.tensor(images).permute(0, 3, 1, 2),
        "input_ids": torch.tensor(ids).long(),
        "attention_mask": torch.tensor(mask).long(),
        "input_boxes": torch.tensor(boxes),
        "input_boxes_labels": torch.tensor(labels).long(),
    }
    return keras, theirs


def torch_outputs(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """As keras_hub names and lays them out."""
    with torch.no_grad():
        found = {name: tensor.numpy() for name, tensor in model(**inputs).items() if name.startswith(("pred", "pres"))}
        found["semantic_segs"] = model(**inputs).semantic_seg.numpy()
    return {name: np.moveaxis(array, 1, -1) if array.ndim == 4 else array for name, array in found.items()}


def difference(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """The largest of all outputs, each over its own scale."""
    return max(np.abs(np.asarray(ours[name]) - array).max() / np.abs(array).max() for name, array in theirs.items())


def test_outputs_are_those_of_transformers_with_keras_hubs_text_encoder(models, model, monkeypatch):
    _, backbone = models
    seeds = {"image": 0, "text": 0, "boxes": 0}
    keras_inputs, torch_inputs = inputs(seeds)
    ours, as_it_stands = backbone(keras_inputs, training=False), torch_outputs(model, torch_inputs)
    monkeypatch.setattr(modeling_clip, "create_causal_mask", bidirectional)
    theirs = torch_outputs(model, torch_inputs)
    assert ours.keys() == theirs.keys()
    for name in seeds:
        moved = difference(torch_outputs(model, inputs({**seeds, name: 1})[1]), theirs)
        assert moved > 100 * ROUNDING, f"the outputs hardly depend on the {name}"
    assert difference(ours, theirs) < ROUNDING
    assert difference(ours, as_it_stands) > 0.1


def test_keras_hub_takes_labels_of_boxes_for_masks(models, model, monkeypatch):
    """Why labels are ones above: a negative box, whose label is 0, is one that keras_hub's graph masks."""
    _, backbone = models
    keras_inputs, torch_inputs = inputs({"image": 0, "text": 0, "boxes": 0}, label=0)
    monkeypatch.setattr(modeling_clip, "create_causal_mask", bidirectional)
    assert difference(backbone(keras_inputs, training=False), torch_outputs(model, torch_inputs)) > 0.01
