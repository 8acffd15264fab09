"""EmbeddingGemma: Gemma 3 that sees both ways, a mean over the text and two layers, each in a file of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras_hub
import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, save_transformers, transformers_model
from hub_compare import bound, differing, random_inputs
from hub_members import Member, lay_down, parameters
from hub_multimodal import SLIDING, TEXT
from safetensors.torch import load_file, save_file

import remap
from remap.opening.memory import from_state_dict
from remap.planning.make import make_plan
from remap.planning.recognise import choose
from remap.sides.keras.keras_model import inventory_of

pytestmark = pytest.mark.architectures
RULES = "keras_hub/embedding_gemma"
MIDDLE = 3072
"""Width between the two layers, which keras_hub takes for given."""
WINDOW = 64
"""More than twice the length of a text: keras_hub's window ends a token earlier on the left."""

PUBLISHED = {
    "num_hidden_layers": 24,
    "hidden_size": 768,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "intermediate_size": 1152,
    "vocab_size": 262144,
    "use_bidirectional_attention": True,
}
"""Of the 300M model."""
PARAMETERS = 307_581_696
"""As keras_hub's list of presets has them."""


@pytest.fixture(scope="module")
def language_model() -> torch.nn.Module:
    settings = {**TEXT, **SLIDING, "sliding_window": WINDOW, "use_bidirectional_attention": True}
    model = transformers_model("Gemma3TextModel", "Gemma3TextConfig", settings)
    fill_randomly(model)
    return model


@pytest.fixture(scope="module")
def folder(language_model, tmp_path_factory) -> Path:
    """As it is published: the list of modules, and each module's weights in a folder of its own."""
    folder, width = tmp_path_factory.mktemp("embedding_gemma"), TEXT["hidden_size"]
    save_transformers(language_model, folder)
    generator = torch.Generator().manual_seed(2)
    for number, shape in ((2, (MIDDLE, width)), (3, (width, MIDDLE))):
        weight = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        (folder / f"{number}_Dense").mkdir()
        save_file({"linear.weight": weight}, folder / f"{number}_Dense" / "model.safetensors")
    kinds = ("Transformer", "Pooling", "Dense", "Dense", "Normalize")
    modules = [
        {
            "idx": number,
            "name": str(number),
            "path": f"{number}_{kind}" if number else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.fixture(scope="module")
def state(language_model, folder) -> dict[str, torch.Tensor]:
    """The state_dict of all modules."""
    named = {f"0.auto_model.{name}": tensor for name, tensor in language_model.state_dict().items()}
    dense = {number: load_file(folder / f"{number}_Dense" / "model.safetensors") for number in (2, 3)}
    return {**named, **{f"{number}.linear.weight": found["linear.weight"] for number, found in dense.items()}}


def empty(folder: Path) -> Any:
    return keras_hub.models.Backbone.from_preset(str(folder), load_weights=False)


@pytest.fixture(scope="module")
def backbone(folder) -> Any:
    """As remap loads the folder."""
    backbone = empty(folder)
    remap.load_into(backbone, RULES, folder)
    return backbone


def test_every_variable_is_as_keras_hub_loads_it(folder, backbone):
    assert {"pooling_dense_1/kernel", "embedding_projection/kernel"} <= {each.path for each in backbone.weights}
    assert differing(keras_hub.models.Backbone.from_preset(str(folder)), backbone) == []


def test_the_state_dict_of_all_modules_is_the_same_checkpoint(folder, backbone, state):
    other = empty(folder)
    remap.load_into(other, RULES, state)
    assert differing(backbone, other) == []


def test_the_folder_is_recognised_and_converted_by_one_command(folder, backbone, tmp_path, remap_command):
    (tmp_path / "model.py").write_text(
        "import keras_hub\n\n\ndef build():\n"
        f"    return keras_hub.models.Backbone.from_preset({str(folder)!r}, load_weights=False)\n"
    )
    out = tmp_path / "out.weights.h5"
    ran = remap_command("apply", "auto", folder, "--model", f"{tmp_path / 'model.py'}:build", "-o", out)
    assert ran.code == 0, ran.err
    printed = " ".join((ran.out + ran.err).split())
    assert RULES in printed
    assert "modules of sentence-transformers: 0.auto_model. from model.safetensors, none of 1 (Pooling)" in printed
    loaded = empty(folder)
    loaded.load_weights(out)
    assert differing(backbone, loaded) == []


def test_embeddings_are_those_of_the_modules_in_a_row(backbone, language_model, state):
    keras_inputs, torch_inputs = random_inputs(backbone, 0)
    with torch.no_grad():
        mean = language_model(**torch_inputs).last_hidden_state.mean(dim=1)
        embedded = mean @ state["2.linear.weight"].T @ state["3.linear.weight"].T
    theirs = torch.nn.functional.normalize(embedded).numpy()
    assert np.abs(theirs[0] - theirs[1]).max() > 0.05, "the outputs hardly depend on the inputs"
    found = np.asarray(backbone(keras_inputs, training=False)["pooled_output"])
    print(f"{np.abs(found - theirs).max() / np.abs(theirs).max():.1e}")
    assert np.abs(found - theirs).max() / np.abs(theirs).max() < bound("embedding_gemma")


def test_its_state_dict_is_recognised(state):
    best, lines = choose(lambda rules: from_state_dict(state, strip=rules.source.strip), None)
    assert best.name == RULES, lines


def test_plan_of_the_published_size_closes(tmp_path):
    member = Member("embedding_gemma", "300m", "Gemma3TextModel", "Gemma3TextConfig", tuple(PUBLISHED.items()))
    lay_down(member, tmp_path)
    target = inventory_of(lambda: keras_hub.models.Backbone.from_preset(str(tmp_path), load_weights=False), "300m")
    shapes = {f"0.auto_model.{name}": record.shape for name, record in remap.open_checkpoint(tmp_path).items()}
    width = PUBLISHED["hidden_size"]
    shapes |= {"2.linear.weight": (MIDDLE, width), "3.linear.weight": (width, MIDDLE)}
    rules = remap.load_rules(RULES)
    state = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    plan = make_plan(rules, from_state_dict(state, strip=rules.source.strip), target)
    assert {assignment.name for assignment in plan.assignments} == {variable.path for variable in target.variables}
    assert parameters(target) == PARAMETERS
