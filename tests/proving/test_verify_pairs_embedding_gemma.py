"""EmbeddingGemma beside its modules in a row: equal but for keras_hub's sliding window, which verify tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from verify_hub import assert_equal, checkpoints, inputs_of, preset

import remap
from remap import verify
from remap.proving.inputs import parse_input
from remap.rules.load import load_rules

import test_keras_hub_embedding_gemma as embedding_gemma  # isort: skip
from hub_multimodal import SLIDING, TEXT  # isort: skip

pytestmark = pytest.mark.architectures
RULES = "keras_hub/embedding_gemma"
LENGTH = 8
"""Of a text."""
LESS = "window of 3 tokens to the left and 4 to the right", "window of 4 tokens to the left and 4 to the right"
WINDOWS = [(LENGTH, *LESS), (2 * LENGTH - 2, "window of 6 tokens to the left and all to the right", "no mask")]
"""Even windows over less than the text on both sides; of the larger one the last token misses the first alone."""


class Language(torch.nn.Module):
    def __init__(self, auto_model: torch.nn.Module) -> None:
        super().__init__()
        self.auto_model = auto_model

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        return self.auto_model(**inputs).last_hidden_state


class Dense(torch.nn.Module):
    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(width, units, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


class Embedder(torch.nn.Sequential):
    """The modules of a SentenceTransformer, whose second, the mean over the text, has no weights."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        states = self[0](input_ids=input_ids, attention_mask=attention_mask)
        embedded = self[3](self[2](states.mean(dim=1)))
        return {"sequence_output": states, "pooled_output": torch.nn.functional.normalize(embedded)}


def built(folder: Path, window: int, layers: int = 2) -> Embedder:
    """The network with random weights, and the folder that is published of it."""
    settings = {
        **TEXT,
        **SLIDING,
        "num_hidden_layers": layers,
        "sliding_window": window,
        "use_bidirectional_attention": True,
    }
    language = checkpoints.transformers_model("Gemma3TextModel", "Gemma3TextConfig", settings)
    checkpoints.fill_randomly(language)
    # transformers writes an odd window one smaller
    checkpoints.save_transformers(language, folder, published={"sliding_window": window})
    width, middle = TEXT["hidden_size"], embedding_gemma.MIDDLE
    torch.manual_seed(2)
    network = Embedder(Language(language), torch.nn.Identity(), Dense(width, middle), Dense(middle, width)).eval()
    for number in (2, 3):
        (folder / f"{number}_Dense").mkdir()
        weight = network[number].linear.weight.detach()
        save_file({"linear.weight": weight}, folder / f"{number}_Dense" / "model.safetensors")
    return network


def hold(folder: Path, window: int) -> Any:
    network, source = built(folder, window), preset("embedding_gemma", folder)
    specs = [parse_input(text)[0] for text in inputs_of(source.build())]
    # keras_hub sets the queries of padding to zero, which is not what is looked at here: texts are without padding.
    whole = [replace(s, values=np.ones(s.shape, s.dtype)) if s.torch_name == "attention_mask" else s for s in specs]
    return verify(RULES, network.state_dict(), source, network, inputs=whole)


@pytest.mark.parametrize("window", [2 * LENGTH, 7], ids=["covers the text", "odd"])
def test_no_alarm_where_windows_are_equal(window, tmp_path):
    found = hold(tmp_path, window)
    assert_equal(found, {})
    assert found.finding is None


@pytest.mark.parametrize(("window", "ours", "theirs"), WINDOWS)
def test_verify_names_the_attention_that_the_note_says(window, ours, theirs, tmp_path):
    """The mask is made inside of the layer: what tells it are the layer's outputs alone."""
    found = hold(tmp_path, window)
    assert found.verdict == "differ"
    assert found.weights.equal
    told = [found.finding, *found.further]
    assert [entry.layer for entry in told] == [f"decoder_block_{n}/attention/attention_output" for n in range(2)]
    assert {(entry.cause, entry.blame, entry.proved) for entry in told} == {("attention mask", "model", True)}
    for entry in told:
        keras, _, torch = entry.text.partition(", PyTorch with ")
        assert ours in keras
        assert theirs in torch
    assert "an even sliding window" in load_rules(RULES).about.notes


def reach(outputs: np.ndarray) -> tuple[int, int]:
    """How many tokens on the left and on the right move a position's output.

    Args:
        outputs: Of a text, and of the text with its first token exchanged, its second and so on, one layer of
            attention deep, of shape (1 + tokens, tokens, channels).
    """
    moved = (outputs[1:] != outputs[0]).any(axis=-1)  # (token exchanged, position)
    token, position = np.nonzero(moved)
    left, right = (position - token).max(), (token - position).max()
    tokens = np.arange(moved.shape[0])
    apart = tokens[None, :] - tokens[:, None]
    assert np.array_equal(moved, (-right <= apart) & (apart <= left)), "what a position sees is no window"
    return int(left), int(right)


@pytest.mark.parametrize(("window", "theirs", "ours"), [(8, (4, 4), (3, 4)), (7, (3, 3), (3, 3)), (4, (2, 2), (1, 2))])
def test_a_token_less_is_seen_on_the_left_of_an_even_window(window, theirs, ours, tmp_path):
    network = built(tmp_path, window, layers=1)
    backbone = preset("embedding_gemma", tmp_path).build()
    remap.load_into(backbone, RULES, network.state_dict())
    text = np.arange(4, 4 + 2 * LENGTH)
    ids = np.vstack([text, np.where(np.eye(2 * LENGTH, dtype=bool), 30, text)])
    with torch.no_grad():
        seen = network(torch.tensor(ids), torch.ones(ids.shape, dtype=torch.long))["sequence_output"].numpy()
    assert reach(seen) == theirs
    keras_inputs = {"token_ids": ids.astype("int32"), "padding_mask": np.ones(ids.shape, "int32")}
    assert reach(np.asarray(backbone(keras_inputs, training=False)["sequence_output"])) == ours
