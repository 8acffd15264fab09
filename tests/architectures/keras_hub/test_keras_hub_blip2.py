"""BLIP-2 with OPT: every bit as keras_hub's own converter has it."""

from __future__ import annotations

import pytest
from hub_checkpoints import fill_randomly, save_transformers, transformers_model
from hub_compare import convert, differing

pytestmark = pytest.mark.architectures
SETTINGS = {
    "vision_config": {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20,
                      "image_size": 16, "patch_size": 4},
    "qformer_config": {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 20,
                       "encoder_hidden_size": 12, "vocab_size": 31},
    "text_config": {"model_type": "opt", "vocab_size": 31, "hidden_size": 24, "num_hidden_layers": 2,
                    "num_attention_heads": 4, "ffn_dim": 20, "max_position_embeddings": 32, "word_embed_proj_dim": 24},
    "num_query_tokens": 5, "image_token_index": 30,
}  # fmt: skip


def test_every_variable_is_as_keras_hub_loads_it(tmp_path):
    model = transformers_model("Blip2ForConditionalGeneration", "Blip2Config", SETTINGS)
    fill_randomly(model)
    save_transformers(model, tmp_path)
    reference, ours = convert(tmp_path, "keras_hub/blip2")
    assert differing(reference, ours) == []
