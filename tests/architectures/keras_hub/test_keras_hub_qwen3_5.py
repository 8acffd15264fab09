"""Qwen3.5, dense and mixture of experts: bits against keras_hub's converter, outputs of the language model."""

from __future__ import annotations

from dataclasses import dataclass

import keras_hub
import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, save_transformers, transformers_model
from hub_compare import bound, convert, differing, keras_output, random_inputs
from safetensors.torch import load_file, save_file

import remap

pytestmark = pytest.mark.architectures
TEXT = {
    "vocab_size": 31,
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 20,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 6,
    "linear_value_head_dim": 5,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1e4,
        "partial_rotary_factor": 0.5,
        "mrope_section": [1, 1, 0],
    },
}
EXPERTS = {
    "num_experts": 3,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 12,
    "shared_expert_intermediate_size": 16,
}
VISION = {
    "depth": 2,
    "hidden_size": 12,
    "num_heads": 3,
    "intermediate_size": 20,
    "patch_size": 4,
    "out_hidden_size": 24,
    "num_position_embeddings": 16,
}


@dataclass(frozen=True)
class Family:
    """A rule file, the stem of transformers' classes, and the settings of its language model."""

    rules: str
    stem: str
    text: dict
    tied: bool

    def __str__(self) -> str:
        return self.rules


FAMILIES = [
    Family("qwen3_5", "Qwen3_5", TEXT, tied=True),
    Family("qwen3_5_moe", "Qwen3_5Moe", {**TEXT, **EXPERTS}, tied=False),
]


@pytest.fixture(params=FAMILIES, ids=str)
def family(request) -> Family:
    return request.param


@pytest.fixture
def saved(family, tmp_path):
    """The folder of a model with an image encoder."""
    settings = {"text_config": family.text, "vision_config": VISION, "tie_word_embeddings": family.tied}
    model = transformers_model(f"{family.stem}ForConditionalGeneration", f"{family.stem}Config", settings)
    fill_randomly(model)
    save_transformers(model, tmp_path)
    return tmp_path


def test_every_variable_is_as_keras_hub_loads_it(family, saved):
    reference, ours = convert(saved, f"keras_hub/{family.rules}")
    assert any("vision_encoder" in variable.path for variable in ours.weights)
    assert differing(reference, ours) == []


def test_joined_experts_are_as_keras_hub_loads_them(tmp_path):
    family = FAMILIES[1]
    settings = {"text_config": family.text, "vision_config": VISION, "tie_word_embeddings": family.tied}
    model = transformers_model(f"{family.stem}ForConditionalGeneration", f"{family.stem}Config", settings)
    fill_randomly(model)
    save_transformers(model, tmp_path)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, tmp_path / "model.safetensors"
    )
    assert any(name.endswith("experts.gate_up_proj") for name in load_file(tmp_path / "model.safetensors"))
    reference, ours = convert(tmp_path, f"keras_hub/{family.rules}")
    assert differing(reference, ours) == []


def test_outputs_of_the_text_model_are_those_of_transformers(family):
    model = transformers_model(f"{family.stem}ForCausalLM", f"{family.stem}TextConfig", family.text)
    fill_randomly(model)
    config = {**model.config.to_dict(), "tie_word_embeddings": model.config.tie_word_embeddings}
    module = getattr(keras_hub.src.utils.transformers, f"convert_{family.rules}")
    ours = getattr(keras_hub.models, f"{family.stem}Backbone")(**module.convert_backbone_config(config))
    remap.load_into(ours, f"keras_hub/{family.rules}", model.state_dict())
    found = []
    for seed in (0, 1):
        keras_inputs, torch_inputs = random_inputs(ours, seed)
        with torch.no_grad():
            found.append((keras_output(ours, keras_inputs), model.model(**torch_inputs).last_hidden_state.numpy()))
    (ours_0, theirs_0), (_, theirs_1) = found
    scale = np.abs(theirs_0).max()
    assert np.abs(theirs_0 - theirs_1).max() / scale > 0.1, "the outputs hardly depend on the inputs"
    assert np.abs(ours_0 - theirs_0).max() / scale < bound(family.rules)
