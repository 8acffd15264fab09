"""Tiny models of text and images from transformers: what they are built from, and the same inputs for both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hub_transformers import Case

BATCH, LENGTH = 2, 12
IMAGE_TOKEN = 29
Inputs = tuple[dict[str, np.ndarray], dict[str, torch.Tensor]]

TEXT = {
    "vocab_size": 31, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 20, "max_position_embeddings": 32, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8,
}  # fmt: skip
SIGLIP = {
    "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20,
    "image_size": 32, "patch_size": 4, "vision_use_head": False,
}  # fmt: skip
TOWER = {"vision_tower.": "vision_tower.vision_model."}
"""Published files have a level more than this version of transformers."""


@dataclass(frozen=True)
class Multimodal(Case):
    """One tiny model.

    Args:
        inputs: Makes inputs for the keras_hub backbone and the PyTorch model from a generator.
    """

    inputs: Callable[[Any, np.random.Generator], Inputs] = NotImplemented


def interleaved(backbone: Any, rng: np.random.Generator) -> Inputs:
    """Text with the tokens of one image inside, from position 2 on."""
    ids, mask = _text_with_image(rng, tokens=4)
    images = _images(rng, backbone.image_size)
    where = np.tile(np.flatnonzero(mask[0]).astype("int32"), (BATCH, 1))
    keras = {
        "token_ids": ids, "padding_mask": np.ones_like(ids), "images": images[:, None], "vision_indices": where,
        "vision_mask": mask,
    }  # fmt: skip
    theirs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": mask}
    return keras, {**_longs(theirs), "pixel_values": _channels_first(images)}


def _text_with_image(rng: np.random.Generator, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    ids = rng.integers(4, IMAGE_TOKEN - 2, (BATCH, LENGTH), "int32")
    mask = np.zeros_like(ids)
    mask[:, 2 : 2 + tokens] = 1
    return np.where(mask, IMAGE_TOKEN, ids).astype("int32"), mask


def _images(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.normal(size=(BATCH, size, size, 3)).astype("float32")


def _channels_first(images: np.ndarray) -> torch.Tensor:
    return torch.tensor(images).permute(0, 3, 1, 2)


def _longs(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(array).long() for name, array in arrays.items()}


_IMAGE_TOKENS = {"mm_tokens_per_image": 4, "image_token_index": IMAGE_TOKEN, "boi_token_index": 27,
                 "eoi_token_index": 28}  # fmt: skip

MULTIMODAL = [
    Multimodal("gemma3", "Gemma3ForConditionalGeneration", "Gemma3Config",
               {"text_config": TEXT, "vision_config": SIGLIP, **_IMAGE_TOKENS}, respelled=TOWER, inputs=interleaved),
]  # fmt: skip
