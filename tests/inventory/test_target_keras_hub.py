"""Backbones and tasks of keras_hub: composite layers, private attributes, tied embeddings, a compiled factory."""

import h5py
import keras
import keras_hub
import numpy as np
import pytest

from remap.formats.keras.legacy_h5 import groups_of
from remap.sides.keras.keras_model import build_model, inventory_of
from remap.sides.keras.spec import ModelSource, load_model_builder

SIZES = {"vocabulary_size": 50, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}


def gpt2_causal_lm():
    return keras_hub.models.GPT2CausalLM(keras_hub.models.GPT2Backbone(**SIZES))


def llama():
    return keras_hub.models.LlamaBackbone(50, 2, 4, 8, 16, 2)


def vit():
    return keras_hub.models.ViTBackbone((16, 16, 3), 4, 2, 2, 8, 16)


def bert():
    return load_model_builder("keras_hub.models:BertBackbone", SIZES).build()


@pytest.mark.parametrize("build", [bert, gpt2_causal_lm, llama, vit])
def test_weights_h5_places(build, tmp_path):
    inventory = inventory_of(build)
    assert inventory.notes == ()
    model = build_model(ModelSource("", build))
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    model.save_weights(tmp_path / "m.weights.h5")
    values = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}
    assert len(values) == len(inventory.variables)
    with h5py.File(tmp_path / "m.weights.h5") as file:
        for variable in inventory.variables:
            for (place,) in variable.at("weights_h5"):
                np.testing.assert_array_equal(file[place][()], values[variable.path])
    assert all(variable.at("weights_h5") for variable in inventory.variables)


def test_a_tied_embedding_stands_in_two_legacy_layers():
    inventory = inventory_of(gpt2_causal_lm)
    groups = {layer: [name for name, _ in weights] for layer, weights in groups_of(inventory).items()}
    assert groups["token_embedding"] == ["token_embedding/embeddings"]
    assert groups["gpt2_backbone"][0] == "token_embedding/embeddings"
