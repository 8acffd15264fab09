"""gpt-oss: its published files are in MXFP4, which is refused; dequantised ones convert."""

from __future__ import annotations

import keras_hub
import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, save_transformers, transformers_model
from hub_compare import bound, convert, differing, keras_output, random_inputs
from safetensors.torch import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

import remap
from remap.errors import PlanError

pytestmark = pytest.mark.architectures
SETTINGS = {
    "vocab_size": 31,
    "hidden_size": 64,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_local_experts": 3,
    "num_experts_per_tok": 2,
    "pad_token_id": 0,
    "layer_types": ["sliding_attention", "full_attention"],
    "sliding_window": 128,
    "eos_token_id": 2,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The model, its dequantised folder, and the folder as published: the experts in blocks of MXFP4."""
    model = transformers_model("GptOssForCausalLM", "GptOssConfig", SETTINGS)
    fill_randomly(model)
    rng = torch.Generator().manual_seed(0)
    packed = {}
    for name, tensor in model.named_parameters():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            experts, columns, rows = tensor.shape
            shape = (experts, rows, columns // 32)
            blocks = torch.randint(0, 256, (*shape, 16), dtype=torch.uint8, generator=rng)
            scales = torch.randint(121, 125, shape, dtype=torch.uint8, generator=rng)
            packed |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
            with torch.no_grad():
                tensor.copy_(convert_moe_packed_tensors(blocks, scales, dtype=torch.float32))
    plain, published = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("published")
    for folder in (plain, published):
        save_transformers(model, folder, published={"rope_scaling": {"factor": 32.0}})
    others = {
        name: tensor
        for name, tensor in load_file(plain / "model.safetensors").items()
        if f"{name}_blocks" not in packed
    }
    save_file({**others, **packed}, published / "model.safetensors")
    return model, plain, published


def test_dequantised_weights_are_as_keras_hub_dequantises_them(folders):
    model, plain, published = folders
    reference, ours = convert(plain, "keras_hub/gpt_oss", published)
    assert differing(reference, ours) == []
    keras_inputs, torch_inputs = random_inputs(ours, 0)
    with torch.no_grad():
        theirs = model.base_model(**torch_inputs).last_hidden_state.numpy()
    assert np.abs(keras_output(ours, keras_inputs) - theirs).max() / np.abs(theirs).max() < bound("gpt_oss")


def test_blocks_are_refused(folders):
    ours = keras_hub.models.Backbone.from_preset(str(folders[2]), load_weights=False)
    with pytest.raises(PlanError, match=r"gate_up_proj_blocks \(2\)\n *fix: .*MXFP4.*dequantise the checkpoint first"):
        remap.load_into(ours, "keras_hub/gpt_oss", folders[2])
