"""The assistant of Gemma 4: every bit as keras_hub's converter has it, drafts as transformers makes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras_hub
import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, save_transformers, transformers_model
from hub_compare import BATCH, bound, convert, differing
from hub_members import Member, lay_down
from hub_multimodal import TEXT
from hub_multimodal_members import GEMMA4_ASSISTANTS

import remap
from remap.planning.recognise import choose
from remap.sides.keras.keras_model import inventory_of

pytestmark = pytest.mark.architectures
RULES = "keras_hub/gemma4_assistant"
ROUNDING = bound("gemma4_assistant")
"""Of float32, through the few layers of these models."""
TOKENS, WIDTH, CENTROIDS, ACTIVE, WINDOW = 32, 28, 8, 3, 8
HEADS = {"sliding_attention": (2, 8), "full_attention": (1, 16)}
"""Of the keys and values that the model shares: how many there are, and their width."""
BEYOND = 3
"""Places of keras_hub's cache behind the position, whose values nobody has written yet."""
SETTINGS = {
    **TEXT,
    "model_type": "gemma4_text",
    "vocab_size": TOKENS,
    "num_hidden_layers": 4,
    "sliding_window": WINDOW,
    "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
    "attention_k_eq_v": True,
    "hidden_size_per_layer_input": 0,
    "vocab_size_per_layer_input": 0,
}
PUBLISHED = {"global_head_dim": 16, "num_global_key_value_heads": 1}
"""Entries of published configurations that transformers writes layer by layer."""
PARAMETERS = {"E2B": 77_731_332, "E4B": 77_731_332, "26B-A4B": 412_764_420, "31B": 454_707_460}
"""As keras_hub's list of presets has them."""
PROJECTIONS = 1_703_936
"""What the projections and centroids of E2B's assistant have, its order of tokens aside: the list adds as many to the
backbone of every size, though those of the others have more."""


@pytest.fixture(scope="module", params=[True, False], ids=["ordered", "plain"])
def model(request) -> torch.nn.Module:
    settings = {
        "text_config": {**SETTINGS, **PUBLISHED},
        "backbone_hidden_size": WIDTH,
        "num_centroids": CENTROIDS,
        "centroid_intermediate_top_k": ACTIVE,
        "use_ordered_embeddings": request.param,
    }
    model = transformers_model("Gemma4AssistantForCausalLM", "Gemma4AssistantConfig", settings)
    fill_randomly(model)
    if request.param:
        generator = torch.Generator().manual_seed(1)
        model.masked_embedding.token_ordering.copy_(torch.randperm(TOKENS, generator=generator))
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gemma4_assistant")
    save_transformers(model, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "text_config": {**config["text_config"], **PUBLISHED}}))
    return folder


@pytest.fixture(scope="module")
def tasks(folder) -> tuple[Any, Any]:
    """As keras_hub loads it, and as remap does."""
    load = keras_hub.models.Gemma4AssistantCausalLM.from_preset
    ours = load(str(folder), preprocessor=None, load_weights=False)
    remap.load_into(ours, RULES, folder)
    return load(str(folder), preprocessor=None), ours


def test_every_variable_of_the_backbone_is_as_keras_hub_loads_it(folder):
    reference, ours = convert(folder, RULES)
    assert isinstance(ours, keras_hub.models.Gemma4Backbone)
    assert differing(reference, ours) == []


def test_every_variable_of_the_task_is_as_keras_hub_loads_it(tasks, model):
    reference, ours = tasks
    paths = {variable.path for variable in ours.weights}
    assert {"pre_projection/kernel", "post_projection/kernel"} <= paths
    assert ("centroids/kernel" in paths) is (model.masked_embedding is not None)
    assert differing(reference, ours) == []


def test_it_is_recognised(folder):
    best, lines = choose(lambda rules: remap.open_checkpoint(folder, strip=rules.source.strip), None)
    assert best.name == RULES, lines


Cache = dict[str, np.ndarray]
"""Of each kind of layer: (batch, key or value, token, head, width)."""


def shared(length: int, seed: int) -> Cache:
    """The keys and values of the model that is drafted for."""
    rng = np.random.default_rng(seed)
    return {kind: rng.normal(size=(BATCH, 2, length, *size)).astype("float32") for kind, size in HEADS.items()}


def hidden(seed: int) -> np.ndarray:
    """The embedding of the last token, and the model's hidden state there."""
    return np.random.default_rng(seed).normal(size=(2, BATCH, 1, WIDTH)).astype("float32")


def drafted_by_keras(task: Any, cache: Cache, states: np.ndarray) -> list[np.ndarray]:
    """Logits and hidden state; all layers' keys and values lie in one array there, which has room for more tokens."""
    length = cache["full_attention"].shape[2]
    heads, width = (max(size) for size in zip(*HEADS.values(), strict=True))
    whole = np.random.default_rng(9).normal(size=(BATCH, len(HEADS), 2, length + BEYOND, heads, width))
    for number, (kind, (count, size)) in enumerate(HEADS.items()):
        whole[:, number, :, :length, :count, :size] = cache[kind]
    return [np.asarray(each) for each in task.call_with_cache(*states, whole.astype("float32"), length - 1)]


def drafted_by_torch(model: torch.nn.Module, cache: Cache, states: np.ndarray) -> list[np.ndarray]:
    last = cache["full_attention"].shape[2] - 1
    theirs = {kind: tuple(torch.tensor(array).permute(1, 0, 3, 2, 4)) for kind, array in cache.items()}
    with torch.no_grad():
        found = model(
            inputs_embeds=torch.cat(list(torch.tensor(states)), dim=-1),
            position_ids=torch.tensor([[last]]),
            shared_kv_states=theirs,
        )
    return [found.logits.numpy(), found.last_hidden_state.numpy()]


def difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest of both outputs, each over its own scale."""
    return max(np.abs(one - other).max() / np.abs(other).max() for one, other in zip(ours, theirs, strict=True))


def test_drafts_depend_on_all_that_is_handed_over(model):
    cache, other = shared(WINDOW, 0), shared(WINDOW, 1)
    theirs = drafted_by_torch(model, cache, hidden(0))
    assert difference(drafted_by_torch(model, cache, hidden(1)), theirs) > 0.1
    for kind in HEADS:
        assert difference(drafted_by_torch(model, {**cache, kind: other[kind]}, hidden(0)), theirs) > 0.1, kind


@pytest.mark.parametrize("length", [1, 5, WINDOW])
def test_drafts_within_the_window_are_those_of_transformers(tasks, model, length):
    cache, states = shared(length, 0), hidden(0)
    assert difference(drafted_by_keras(tasks[1], cache, states), drafted_by_torch(model, cache, states)) < ROUNDING


def test_drafts_beyond_the_window_are_those_of_transformers_when_the_keys_end_there(tasks, model):
    """Of all keys, transformers' window takes one more than keras_hub's."""
    cache, states = shared(WINDOW + 3, 0), hidden(0)
    ours = drafted_by_keras(tasks[1], cache, states)
    for kept, agree in ((WINDOW, True), (WINDOW + 1, False), (WINDOW + 3, False)):
        cut = {**cache, "sliding_attention": cache["sliding_attention"][:, :, -kept:]}
        found = difference(ours, drafted_by_torch(model, cut, states))
        assert found < ROUNDING if agree else found > 0.05, kept


@pytest.mark.parametrize("member", GEMMA4_ASSISTANTS, ids=str)
def test_plan_of_the_task_closes(member: Member, tmp_path):
    lay_down(member, tmp_path)
    load = keras_hub.models.Gemma4AssistantCausalLM.from_preset
    target = inventory_of(lambda: load(str(tmp_path), preprocessor=None, load_weights=False), member.name)
    plan = remap.plan(RULES, tmp_path, target=target)
    assert {assignment.name for assignment in plan.assignments} == {variable.path for variable in target.variables}
    assert not plan.ignored
    own = ("_projection/", "centroids/", "token_ordering")
    backbone = sum(np.prod(v.shape) for v in target.variables if not any(name in v.path for name in own))
    assert backbone + PROJECTIONS == PARAMETERS[member.size]
