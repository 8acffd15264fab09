"""EmbeddingGemma: Gemma 3 that sees both ways, a mean over the text and two layers, each in a file of its own."""

from __future__ import annotations

import keras_hub
import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, save_transformers, transformers_model
from hub_compare import differing, random_inputs
from hub_members import Member, lay_down
from hub_multimodal import SLIDING, TEXT
from safetensors.torch import save_file

import remap
from remap.checkpoint.memory import from_state_dict
from remap.planning.make import make_plan
from remap.planning.recognise import choose
from remap.target.keras_model import inventory_of

pytestmark = pytest.mark.architectures
RULES = "keras_hub/embedding_gemma"
MIDDLE = 3072
"""Width between the two layers, which keras_hub takes for given."""
WINDOW = 64
"""More than twice the length of a text: keras_hub's window ends a token earlier on the left."""

PUBLISHED = {
    "num_hidden_layers": 24, "hidden_size": 768, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 256,
    "intermediate_size": 1152, "vocab_size": 262144, "use_bidirectional_attention": True,
}  # fmt: skip
"""Of the 300M model."""
PARAMETERS = 307_581_696
"""As keras_hub's list of presets has them."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """As keras_hub loads it, as remap loads it, the language model, and the state_dict of all modules."""
    folder, width = tmp_path_factory.mktemp("embedding_gemma"), TEXT["hidden_size"]
    settings = {**TEXT, **SLIDING, "sliding_window": WINDOW, "use_bidirectional_attention": True}
    model = transformers_model("Gemma3TextModel", "Gemma3TextConfig", settings)
    fill_randomly(model)
    save_transformers(model, folder)
    generator = torch.Generator().manual_seed(2)
    state = {f"0.auto_model.{name}": tensor for name, tensor in model.state_dict().items()}
    for number, shape in ((2, (MIDDLE, width)), (3, (width, MIDDLE))):
        weight = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        (folder / f"{number}_Dense").mkdir()
        save_file({"linear.weight": weight}, folder / f"{number}_Dense" / "model.safetensors")
        state[f"{number}.linear.weight"] = weight
    ours = keras_hub.models.Backbone.from_preset(str(folder), load_weights=False)
    remap.load_into(ours, RULES, state)
    return keras_hub.models.Backbone.from_preset(str(folder)), ours, model, state


def test_every_variable_is_as_keras_hub_loads_it(models):
    reference, ours, _, _ = models
    assert {"pooling_dense_1/kernel", "embedding_projection/kernel"} <= {variable.path for variable in ours.weights}
    assert differing(reference, ours) == []


def test_embeddings_are_those_of_the_modules_in_a_row(models):
    _, ours, model, state = models
    keras_inputs, torch_inputs = random_inputs(ours, 0)
    with torch.no_grad():
        mean = model(**torch_inputs).last_hidden_state.mean(dim=1)
        embedded = mean @ state["2.linear.weight"].T @ state["3.linear.weight"].T
    theirs = torch.nn.functional.normalize(embedded).numpy()
    assert np.abs(theirs[0] - theirs[1]).max() > 0.05, "the outputs hardly depend on the inputs"
    found = np.asarray(ours(keras_inputs, training=False)["pooled_output"])
    print(f"{np.abs(found - theirs).max() / np.abs(theirs).max():.1e}")
    assert np.abs(found - theirs).max() / np.abs(theirs).max() < 1e-5


def test_it_is_recognised(models):
    best, lines = choose(lambda rules: from_state_dict(models[-1], strip=rules.source.strip), None)
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
    assert sum(np.prod(variable.shape) for variable in target.variables) == PARAMETERS
