"""BLIP-2 with either language model: every bit as keras_hub's own converter has it, outputs as PyTorch's."""

from __future__ import annotations

from typing import Any

import keras_hub
import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, save_transformers, transformers_model
from hub_compare import ROUNDING, bound, differing
from safetensors.torch import load_file, save_file

import remap

pytestmark = pytest.mark.architectures
QUERIES, IMAGE_TOKEN, BATCH, LENGTH = 5, 30, 2, 8
IMAGES = {
    "vision_config": {
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 20,
        "image_size": 16,
        "patch_size": 4,
    },
    "qformer_config": {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 20,
        "encoder_hidden_size": 12,
        "vocab_size": 31,
    },
    "num_query_tokens": QUERIES,
    "image_token_index": IMAGE_TOKEN,
}
LANGUAGE = {
    "blip2": {
        "model_type": "opt",
        "vocab_size": 31,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 20,
        "max_position_embeddings": 32,
        "word_embed_proj_dim": 24,
    },
    "blip2_flan_t5": {
        "model_type": "t5",
        "vocab_size": 31,
        "d_model": 24,
        "d_kv": 6,
        "d_ff": 20,
        "num_layers": 2,
        "num_heads": 4,
        "feed_forward_proj": "gated-gelu",
    },
}


@pytest.fixture(scope="module", params=LANGUAGE)
def models(request, tmp_path_factory) -> tuple[Any, Any, torch.nn.Module]:
    """As keras_hub loads it, as remap loads it, and the PyTorch model."""
    folder, text = tmp_path_factory.mktemp(request.param), LANGUAGE[request.param]
    model = transformers_model("Blip2ForConditionalGeneration", "Blip2Config", {**IMAGES, "text_config": text})
    fill_randomly(model)
    save_transformers(model, folder)
    ours = keras_hub.models.Backbone.from_preset(str(folder), load_weights=False)
    if text["model_type"] == "t5":
        with_a_head_of_its_own(folder / "model.safetensors")
        ours.language_model.lm_head.build((1, 1, text["d_model"]))  # as the converter does
    remap.load_into(ours, f"keras_hub/{request.param}", folder)
    return keras_hub.models.Backbone.from_preset(str(folder)), ours, model


def with_a_head_of_its_own(path) -> None:
    """Published files have the head, which this version of transformers ties to the embedding and does not write."""
    tensors = load_file(path)
    head = torch.randn(tensors["language_model.shared.weight"].shape, generator=torch.Generator().manual_seed(1))
    save_file({**tensors, "language_model.lm_head.weight": head}, path)


def test_every_variable_is_as_keras_hub_loads_it(models):
    reference, ours, _ = models
    assert differing(reference, ours) == []


def test_outputs_are_those_of_transformers(models):
    _, ours, model = models
    rng = np.random.default_rng(0)
    images, others = (rng.normal(size=(BATCH, 16, 16, 3)).astype("float32") for _ in range(2))
    ids, answer = (rng.integers(4, IMAGE_TOKEN, (BATCH, LENGTH), "int32") for _ in range(2))
    found = keras_output(ours, images, ids, answer)
    theirs = torch_output(model, images, ids, answer)
    scale = np.abs(theirs).max()
    for moved in ((others, ids), (images, ids[::-1])):
        assert np.abs(torch_output(model, *moved, answer) - theirs).max() / scale > 0.1, "it hardly depends on this"
    rules = "blip2_flan_t5" if model.config.text_config.model_type == "t5" else "blip2"
    if rules == "blip2_flan_t5":
        assert ROUNDING < np.abs(found - theirs).max() / scale < 1e-3
        use_exact_gelu(model)
        theirs = torch_output(model, images, ids, answer)
    difference = np.abs(found - theirs).max() / scale
    print(f"{difference:.1e}, {len(ours.weights)} variables")
    assert difference < bound(rules)


def use_exact_gelu(model: torch.nn.Module) -> None:
    """keras_hub's GELU in the place of Flan-T5's, which approximates it by tanh."""
    for module in model.language_model.modules():
        if hasattr(module, "wi_1"):
            module.act = torch.nn.GELU()


def torch_output(model: torch.nn.Module, images: np.ndarray, ids: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """The last hidden states: of image and text for OPT, of the answer for T5."""
    before = np.full((BATCH, QUERIES), IMAGE_TOKEN)
    inputs = {"input_ids": torch.tensor(np.hstack([before, ids])).long()}
    inputs["pixel_values"] = torch.tensor(images).permute(0, 3, 1, 2)
    if model.config.text_config.model_type == "t5":
        inputs["decoder_input_ids"] = torch.tensor(answer).long()
    with torch.no_grad():
        found = model(**inputs, output_hidden_states=True).language_model_outputs
    return (found.decoder_hidden_states if "decoder_input_ids" in inputs else found.hidden_states)[-1].numpy()


def keras_output(backbone: Any, images: np.ndarray, ids: np.ndarray, answer: np.ndarray) -> np.ndarray:
    given = {"token_ids": ids, "encoder_token_ids": ids, "decoder_token_ids": answer, "images": images}
    ones = np.ones((BATCH, LENGTH), "int32")
    return np.asarray(backbone({name: given.get(name, ones) for name in backbone.input}, training=False))
