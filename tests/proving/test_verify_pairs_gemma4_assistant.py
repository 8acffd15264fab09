"""The assistant of Gemma 4, drafting from keys that are handed over: equal within the window; beyond, verify tells."""

from __future__ import annotations

import json
from pathlib import Path
from types import MethodType
from typing import Any

import keras
import keras_hub
import numpy as np
import pytest
import torch
from keras import ops
from verify_hub import assert_equal, checkpoints

from remap import verify
from remap.proving.inputs import InputSpec
from remap.rules.load import load_rules
from remap.sides.keras.spec import ModelSource

import test_keras_hub_gemma4_assistant as assistant  # isort: skip

pytestmark = pytest.mark.architectures
RULES = "keras_hub/gemma4_assistant"
SLIDING = assistant.SETTINGS["layer_types"].count("sliding_attention")
UNCALLED = "the Keras model does not call it"
NOT_TRACED = {
    True: {"token_embedding": UNCALLED, "gemma4_assistant_causal_lm": UNCALLED},
    False: {
        "token_embedding": "PyTorch does not call embed_tokens: its weights are used by another module or function"
    },
}
"""Where logits are of the nearest centroids alone, and where they are of all tokens."""


class Draft(keras.layers.Layer):
    """A draft by keras_hub's task, each kind of keys and values an input; its cache has room for more tokens."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task

    def call(self, embedding: Any, state: Any, sliding_attention: Any, full_attention: Any) -> dict[str, Any]:
        heads, width = (max(sizes) for sizes in zip(*assistant.HEADS.values(), strict=True))
        padded = [
            ops.pad(x, [(0, 0), (0, 0), (0, assistant.BEYOND), (0, heads - x.shape[3]), (0, width - x.shape[4])])
            for x in (sliding_attention, full_attention)
        ]
        last = full_attention.shape[2] - 1
        logits, hidden = self.task.call_with_cache(embedding, state, ops.stack(padded, axis=1), last)
        return {"logits": logits, "hidden": hidden}


def drafts(self, embedding: torch.Tensor, state: torch.Tensor, **shared: torch.Tensor) -> dict[str, torch.Tensor]:
    found = type(self).forward(
        self,
        inputs_embeds=torch.cat([embedding, state], dim=-1),
        position_ids=torch.tensor([[shared["full_attention"].shape[2] - 1]]),
        shared_kv_states={kind: tuple(x.permute(1, 0, 3, 2, 4)) for kind, x in shared.items()},
    )
    return {"logits": found.logits, "hidden": found.last_hidden_state}


def built(folder: Path, ordered: bool) -> torch.nn.Module:
    """The network with random weights, and the folder that is published of it."""
    settings = {
        "text_config": {**assistant.SETTINGS, **assistant.PUBLISHED},
        "backbone_hidden_size": assistant.WIDTH,
        "num_centroids": assistant.CENTROIDS,
        "centroid_intermediate_top_k": assistant.ACTIVE,
        "use_ordered_embeddings": ordered,
    }
    network = checkpoints.transformers_model("Gemma4AssistantForCausalLM", "Gemma4AssistantConfig", settings)
    checkpoints.fill_randomly(network)
    if ordered:
        order = torch.randperm(assistant.TOKENS, generator=torch.Generator().manual_seed(1))
        network.masked_embedding.token_ordering.copy_(order)
    checkpoints.save_transformers(network, folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= assistant.PUBLISHED
    (folder / "config.json").write_text(json.dumps(config))
    network.forward = MethodType(drafts, network)
    return network


def hold(folder: Path, length: int, ordered: bool) -> Any:
    """Both beside each other, drafting from as many keys."""
    network = built(folder, ordered)
    embedding, state = assistant.hidden(0)
    drawn = {"embedding": embedding, "state": state, **assistant.shared(length, 0)}
    source = ModelSource("a model around the task", lambda: drafting(folder, drawn))
    inputs = [InputSpec(name, x.shape, x.dtype.name, torch_name=name, values=x) for name, x in drawn.items()]
    return verify(RULES, folder, source, network, inputs=inputs)


def drafting(folder: Path, drawn: dict[str, np.ndarray]) -> keras.Model:
    load = keras_hub.models.Gemma4AssistantCausalLM.from_preset
    draft = Draft(load(str(folder), preprocessor=None, load_weights=False))
    given = {name: keras.Input(x.shape[1:], name=name) for name, x in drawn.items()}
    return keras.Model(given, draft(**given))


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "plain"])
def test_no_alarm_within_the_window(ordered, tmp_path):
    found = hold(tmp_path, assistant.WINDOW, ordered)
    assert_equal(found, {r"decoder_block_\d/ffw_(?:gating|gating_2|linear)": UNCALLED, **NOT_TRACED[ordered]})
    assert found.finding is None
    assert {row.layer for row in found.outputs} == {"logits", "hidden"}
    attentions = [row for row in found.rows if row.layer.endswith("attention_output")]
    assert len(attentions) == len(assistant.SETTINGS["layer_types"])


def test_verify_names_the_attentions_that_the_note_says(tmp_path):
    """One token looks at many keys; the mask is made between the layers: what tells it are their inputs alone."""
    found = hold(tmp_path, assistant.WINDOW + 3, ordered=True)
    assert found.verdict == "differ"
    assert found.weights.equal
    told = (found.finding, *found.further)
    assert [entry.layer for entry in told] == [f"decoder_block_{n}/attention/attention_output" for n in range(SLIDING)]
    assert {(entry.cause, entry.blame, entry.proved) for entry in told} == {("attention mask", "model", True)}
    for entry in told:
        ours, _, theirs = entry.text.partition(", PyTorch with ")
        assert f"a window of {assistant.WINDOW - 1} tokens to the left" in ours
        assert f"a window of {assistant.WINDOW} tokens to the left" in theirs
    assert "sliding window of transformers has a token more" in load_rules(RULES).about.notes
