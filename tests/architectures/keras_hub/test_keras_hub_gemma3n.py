"""Gemma 3n: every bit as keras_hub's converter has it, but for one bias that it leaves out; outputs as PyTorch's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras_hub
import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, transformers_model
from hub_compare import BATCH, bound
from hub_multimodal import TEXT
from keras_hub.src.utils.transformers import convert_gemma3n
from safetensors.torch import save_file

import remap
from remap.opening.memory import from_state_dict
from remap.planning.recognise import choose
from remap.sides.keras.keras_model import inventory_of

pytestmark = pytest.mark.architectures
ROUNDING = bound("gemma3n", 1e-4)
"""Of float32, through the 84 blocks of the image encoder and a decoder with random weights."""
NARROWER, SIZE, FRAMES = 16, 64, 16
PATCHES = 256
"""Tokens of an image, whatever its size."""
TOKENS, IMAGE_TOKEN, SOUND_TOKEN = 31, 32, 36
SOUND_TOKENS = 4
"""Of which the frames make two, and padding the others."""
SETTINGS = {
    "text_config": {
        **TEXT,
        "vocab_size": 38,
        "vocab_size_per_layer_input": TOKENS,
        "num_hidden_layers": 4,
        "intermediate_size": 40,
        "hidden_size_per_layer_input": 6,
        "altup_num_inputs": 3,
        "laurel_rank": 5,
        "sliding_window": 8,
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "activation_sparsity_pattern": [0.5, 0.5, 0.0, 0.0],
    },
    "vision_config": {"vocab_offset": TOKENS, "vocab_size": 4, "model_args": {"channel_multiplier": 1 / NARROWER}},
    "audio_config": {
        "vocab_offset": 35,
        "vocab_size": 3,
        "hidden_size": 16,
        "input_feat_size": 16,
        "conf_num_hidden_layers": 2,
        "conf_num_attention_heads": 2,
        "conf_attention_chunk_size": 4,
        "conf_attention_context_left": 5,
        "conf_conv_kernel_size": 3,
        "conf_reduction_factor": 2,
        "sscp_conv_channel_size": (6, 3),
    },
    "image_token_id": IMAGE_TOKEN,
    "audio_token_id": SOUND_TOKEN,
    "audio_soft_tokens_per_image": SOUND_TOKENS,
}


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    model = transformers_model("Gemma3nForConditionalGeneration", "Gemma3nConfig", SETTINGS)
    fill_randomly(model)
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    """As it is published: in shards, with the keys and values of all layers, and two entries of the configuration."""
    folder = tmp_path_factory.mktemp("gemma3n")
    tensors = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("lm_head")}
    own = "model.language_model.layers.0.self_attn"
    for layer in (2, 3):
        for name in ("k_proj", "v_proj", "k_norm"):
            shape = tensors[f"{own}.{name}.weight"].shape
            tensors[f"model.language_model.layers.{layer}.self_attn.{name}.weight"] = torch.randn(shape)
    shard = "model-00001-of-00001.safetensors"
    save_file(tensors, folder / shard)
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, shard)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    config = model.config.to_dict()
    config["text_config"]["rope_theta"] = 1e6
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def loaded(folder) -> tuple[Any, list[np.ndarray]]:
    """The backbone as remap loads it, and the values that keras_hub had loaded into it before."""
    whole = convert_gemma3n.MODEL_CONFIGS["mobilenetv5_300m_enc"]
    filters = [[count // NARROWER for count in stage] for stage in whole["stackwise_num_filters"]]
    vision = {**whole, "stackwise_num_filters": filters, "image_shape": (SIZE, SIZE, 3)}
    backbone = keras_hub.models.Backbone.from_preset(str(folder), vision_encoder_config=vision)
    theirs = [np.asarray(variable).copy() for variable in backbone.weights]
    for variable in backbone.weights:
        variable.assign(np.full(variable.shape, np.nan))
    remap.load_into(backbone, "keras_hub/gemma3n", folder)
    return backbone, theirs


def test_every_variable_is_as_keras_hub_loads_it_but_for_a_bias_that_it_forgets(loaded, model):
    backbone, theirs = loaded
    unequal = [
        (variable, values)
        for variable, values in zip(backbone.weights, theirs, strict=True)
        if np.asarray(variable).tobytes() != values.tobytes()
    ]
    ((bias, forgotten),) = unequal
    assert bias.path == "conv_stem/conv2d/bias"
    assert not forgotten.any()
    assert np.array_equal(bias, model.state_dict()["model.vision_tower.timm_model.conv_stem.conv.bias"])


def inputs(seeds: dict[str, int]) -> tuple[dict[str, np.ndarray], dict[str, torch.Tensor]]:
    """An image and a sound, each behind a token of its vocabulary, and text around them."""
    rng = {name: np.random.default_rng(seed) for name, seed in seeds.items()}
    image = np.r_[2 : 2 + PATCHES]
    sound = np.r_[4 + PATCHES : 4 + PATCHES + SOUND_TOKENS]
    ids = rng["text"].integers(4, TOKENS, (BATCH, sound[-1] + 8), "int32")
    ids[:, 1], ids[:, image], ids[:, sound[0] - 1], ids[:, sound] = 33, IMAGE_TOKEN, 35, SOUND_TOKEN
    images = rng["images"].normal(size=(BATCH, SIZE, SIZE, 3)).astype("float32")
    frames = rng["sounds"].normal(size=(BATCH, FRAMES, 16)).astype("float32")
    padding = np.zeros((BATCH, FRAMES), bool)
    keras = {
        "token_ids": ids,
        "padding_mask": np.ones_like(ids, bool),
        "images": images[:, None],
        "input_features": frames[:, None],
        "input_features_mask": padding[:, None],
    }
    theirs = {
        "input_ids": torch.tensor(ids).long(),
        "pixel_values": torch.tensor(images).permute(0, 3, 1, 2),
        "input_features": torch.tensor(frames),
        "input_features_mask": torch.tensor(~padding),
    }
    return keras, theirs


def torch_output(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    with torch.no_grad():
        return model.model(**inputs).last_hidden_state.numpy()


def test_outputs_are_those_of_transformers_with_keras_hubs_gelu(loaded, model):
    backbone, _ = loaded
    seeds = {"text": 0, "images": 0, "sounds": 0}
    keras_inputs, torch_inputs = inputs(seeds)
    ours = np.asarray(backbone(keras_inputs, training=False))
    as_it_stands = torch_output(model, torch_inputs)
    scale = np.abs(as_it_stands).max()
    for name in seeds:
        moved = np.abs(torch_output(model, inputs({**seeds, name: 1})[1]) - as_it_stands).max()
        assert moved / scale > 0.1, f"the outputs hardly depend on the {name}"
    for module in model.model.vision_tower.modules():
        if isinstance(module, torch.nn.GELU):
            module.approximate = "none"
    exact = torch_output(model, torch_inputs)
    assert np.abs(ours - exact).max() / scale < ROUNDING
    assert np.abs(ours - as_it_stands).max() / scale > 100 * ROUNDING


@pytest.mark.parametrize("below", ["model.language_model.", "model.", ""])
def test_a_model_of_text_alone(folder, model, below):
    """Of a file with both encoders, as Gemma3nForCausalLM saves it, and as Gemma3nTextModel does."""
    state = dict(remap.open_checkpoint(folder))
    if not below.endswith("language_model."):
        state = {name: tensor for name, tensor in state.items() if "language_model" in name}
    named = {name.replace("model.language_model.", below): tensor.array() for name, tensor in state.items()}
    load = keras_hub.models.Backbone.from_preset
    backbone = load(str(folder), load_weights=False, vision_encoder_config=None, audio_encoder_config=None)
    left = remap.plan("keras_hub/gemma3n", named, target=inventory_of(backbone)).ignored
    encoders = {"vision_tower", "audio_tower", "embed_vision", "embed_audio"}
    expected = encoders if len(named) > len(backbone.weights) else set()
    assert {ignored.name.split(".")[0] for ignored in left} == expected
    best, lines = choose(lambda rules: from_state_dict(named, strip=rules.source.strip), inventory_of(backbone))
    assert best.name == "keras_hub/gemma3n", lines
    remap.load_into(backbone, "keras_hub/gemma3n", named)
    ids = np.random.default_rng(0).integers(4, TOKENS, (BATCH, 12), "int32")
    ours = np.asarray(backbone({"token_ids": ids, "padding_mask": np.ones_like(ids, bool)}, training=False))
    with torch.no_grad():
        theirs = model.model.language_model(input_ids=torch.tensor(ids).long()).last_hidden_state.numpy()
    assert np.abs(ours - theirs).max() / np.abs(theirs).max() < 1e-5
