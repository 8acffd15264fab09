"""Two Keras models bit for bit, and a Keras model's outputs beside those of a PyTorch model."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import keras_hub
import numpy as np
import torch

import remap

BATCH, LENGTH, TOKENS = 2, 8, 30
ROUNDING = 1e-5
"""Of float32, through the few layers of these models."""
MEASURED = tomllib.loads((Path(__file__).parents[3] / "fixtures" / "measured.toml").read_text("utf-8"))
"""What the table of shipped rule files says of each."""
TORCH_NAMES = {
    "token_ids": "input_ids",
    "encoder_token_ids": "input_ids",
    "decoder_token_ids": "decoder_input_ids",
    "segment_ids": "token_type_ids",
    "images": "pixel_values",
    "pixel_values": "pixel_values",
}
OUTPUTS = ("sequence_output", "decoder_sequence_output", "vision_logits")


def bound(rules: str, rounding: float = ROUNDING) -> float:
    """How far outputs may be apart, relative to the largest: ten times what the table says of a file, at the most.

    Args:
        rules: Bare name of the rule file below ``keras_hub/``.
        rounding: What is too much for rounding, whatever the table says.
    """
    return min(10 * float(MEASURED[f"keras_hub/{rules}"]["difference"]), rounding)


def convert(folder: Path, rules: str, yardstick: Path | None = None) -> tuple[Any, Any]:
    """A folder loaded twice: by keras_hub, and by a rule file into a model with other weights.

    Args:
        folder: The checkpoint.
        rules: The rule file.
        yardstick: The same weights in a form that keras_hub's converter takes, where it does not take the folder.
    """
    reference = keras_hub.models.Backbone.from_preset(str(yardstick or folder))
    ours = keras_hub.models.Backbone.from_preset(str(folder), load_weights=False)
    remap.load_into(ours, rules, folder)
    return reference, ours


def differing(reference: Any, ours: Any) -> list[str]:
    """Paths of the variables that are not equal in every bit, in shape or in dtype."""
    pairs = zip(reference.weights, ours.weights, strict=True)
    return [one.path for one, other in pairs if _bits(one) != _bits(other)]


def _bits(variable: Any) -> tuple[Any, ...]:
    array = np.asarray(variable)
    return array.shape, array.dtype.name, array.tobytes()


def random_inputs(backbone: Any, seed: int) -> tuple[Any, dict[str, torch.Tensor]]:
    """The same random inputs for a keras_hub backbone and for its PyTorch twin."""
    rng = np.random.default_rng(seed)
    named = backbone.input if isinstance(backbone.input, dict) else {"images": backbone.input}
    keras_inputs: dict[str, np.ndarray] = {}
    torch_inputs: dict[str, torch.Tensor] = {}
    for name, symbol in named.items():
        if name.endswith("padding_mask"):
            keras_inputs[name] = np.ones((BATCH, LENGTH), "int32")
            continue
        if name.endswith("_ids"):
            top = 2 if name == "segment_ids" else TOKENS
            array = rng.integers(min(4, top - 2), top, (BATCH, LENGTH), "int32")
            torch_inputs[TORCH_NAMES[name]] = torch.tensor(array).long()
        else:
            array = rng.normal(size=(BATCH, *symbol.shape[1:])).astype("float32")
            torch_inputs[TORCH_NAMES[name]] = torch.tensor(array).permute(0, 3, 1, 2)
        keras_inputs[name] = array
    return (keras_inputs if isinstance(backbone.input, dict) else keras_inputs["images"]), torch_inputs


def keras_output(backbone: Any, inputs: Any) -> np.ndarray:
    """What the backbone says of each position, or of each image."""
    found = backbone(inputs, training=False)
    if isinstance(found, dict):
        found = next(found[name] for name in OUTPUTS if name in found)
    return np.asarray(found)
