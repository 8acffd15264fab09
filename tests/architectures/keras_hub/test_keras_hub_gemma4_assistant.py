"""The assistant of Gemma 4, laid out by hand: transformers 5.23 cannot build one, whose layers all share their keys."""

from __future__ import annotations

import json

import keras_hub
import pytest
import torch
from hub_checkpoints import fill_randomly, save_transformers, transformers_model
from hub_compare import convert, differing
from hub_multimodal import TEXT
from safetensors.torch import load_file, save_file

import remap
from remap.planning.recognise import choose

pytestmark = pytest.mark.architectures
SETTINGS = {
    **TEXT, "vocab_size": 32, "layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8,
    "global_head_dim": 8, "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0, "num_kv_shared_layers": 0,
}  # fmt: skip
WIDTH, CENTROIDS = 28, 4


@pytest.fixture
def folder(tmp_path):
    model = transformers_model("Gemma4ForCausalLM", "Gemma4TextConfig", SETTINGS)
    fill_randomly(model)
    save_transformers(model, tmp_path)
    path = tmp_path / "model.safetensors"
    own = {name: tensor for name, tensor in load_file(path).items()
           if not any(part in name for part in ("k_proj", "v_proj", "k_norm"))}  # fmt: skip
    hidden, tokens = SETTINGS["hidden_size"], SETTINGS["vocab_size"]
    heads = {
        "pre_projection.weight": torch.randn(hidden, 2 * WIDTH), "post_projection.weight": torch.randn(WIDTH, hidden),
        "masked_embedding.centroids.weight": torch.randn(CENTROIDS, hidden),
        "masked_embedding.token_ordering": torch.randperm(tokens),
    }  # fmt: skip
    save_file({**own, **heads}, path)
    text = {**json.loads((tmp_path / "config.json").read_text()), "num_kv_shared_layers": SETTINGS["num_hidden_layers"]}
    config = {"model_type": "gemma4_assistant", "architectures": ["Gemma4AssistantForCausalLM"], "text_config": text,
              "backbone_hidden_size": WIDTH, "num_centroids": CENTROIDS, "centroid_intermediate_top_k": 2,
              "use_ordered_embeddings": True}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_every_variable_of_the_backbone_is_as_keras_hub_loads_it(folder):
    reference, ours = convert(folder, "keras_hub/gemma4_assistant")
    assert isinstance(ours, keras_hub.models.Gemma4Backbone)
    assert differing(reference, ours) == []


def test_every_variable_of_the_task_is_as_keras_hub_loads_it(folder):
    load = keras_hub.models.Gemma4AssistantCausalLM.from_preset
    reference = load(str(folder), preprocessor=None)
    ours = load(str(folder), preprocessor=None, load_weights=False)
    remap.load_into(ours, "keras_hub/gemma4_assistant", folder)
    assert {"pre_projection/kernel", "post_projection/kernel"} <= {variable.path for variable in ours.weights}
    assert differing(reference, ours) == []


def test_it_is_recognised(folder):
    best, lines = choose(lambda rules: remap.open_checkpoint(folder, strip=rules.source.strip), None)
    assert best.name == "keras_hub/gemma4_assistant", lines
