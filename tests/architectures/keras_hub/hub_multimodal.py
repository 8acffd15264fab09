"""Tiny models of text and images from transformers: what they are built from, and the same inputs for both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras_hub
import numpy as np
import torch
from hub_transformers import Case

BATCH, LENGTH = 2, 12
SOUND_TOKEN, IMAGE_TOKEN, IMAGE_END = 30, 29, 28
PADDED = 31
"""The image token of PaliGemma, whose row in the table is the first of those that mean nothing."""
Inputs = tuple[dict[str, np.ndarray], dict[str, torch.Tensor]]

TEXT = {
    "vocab_size": 31,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "head_dim": 8,
}
SLIDING = {"query_pre_attn_scalar": 8, "sliding_window": 8}
SIGLIP = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "image_size": 32,
    "patch_size": 4,
    "vision_use_head": False,
}
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
    keras = {
        "token_ids": ids,
        "padding_mask": np.ones_like(ids),
        "images": images[:, None],
        "vision_indices": _places(mask),
        "vision_mask": mask,
    }
    theirs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": mask}
    return keras, {**_longs(theirs), "pixel_values": _channels_first(images)}


def encoded(backbone: Any, rng: np.random.Generator) -> Inputs:
    """Text with an image and the token of its end for the encoder, and a text with such a token for the decoder."""
    ids, mask = _text_with_image(rng, tokens=4)
    answer = rng.integers(4, IMAGE_END, (BATCH, LENGTH // 2), "int32")
    ids[:, 6] = answer[:, 3] = IMAGE_END
    images = _images(rng, backbone.vision_encoder.image_size)
    keras = {
        "encoder_token_ids": ids,
        "encoder_padding_mask": np.ones_like(ids),
        "decoder_token_ids": answer,
        "decoder_padding_mask": np.ones_like(answer),
        "images": images[:, None],
        "vision_indices": _places(mask),
    }
    theirs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "decoder_input_ids": answer}
    return keras, {**_longs(theirs), "pixel_values": _channels_first(images)}


def image_first(backbone: Any, rng: np.random.Generator) -> Inputs:
    """The tokens of one image, which keras_hub puts there itself, then a prompt, then an answer of three tokens."""
    ids = rng.integers(4, IMAGE_TOKEN, (BATCH, LENGTH), "int32")
    images, answer = _images(rng, backbone.image_size), np.zeros_like(ids)
    answer[:, -3:] = 1
    keras = {"token_ids": ids, "padding_mask": np.ones_like(ids), "images": images, "response_mask": answer}
    before = np.full((BATCH, backbone.image_sequence_length), PADDED, "int32")
    theirs = {"input_ids": np.hstack([before, ids]), "token_type_ids": np.hstack([before * 0, answer])}
    theirs["attention_mask"] = np.ones_like(theirs["input_ids"])
    return keras, {**_longs(theirs), "pixel_values": _channels_first(images)}


def seen_and_heard(backbone: Any, rng: np.random.Generator) -> Inputs:
    """Text with an image of 4 by 4 patches, which become 4 tokens, and a sound of 16 frames, which become 4."""
    ids = rng.integers(4, IMAGE_END, (BATCH, LENGTH), "int32")
    image, sound = np.zeros_like(ids), np.zeros_like(ids)
    image[:, 2:6] = sound[:, 7:11] = 1
    ids = np.where(image, IMAGE_TOKEN, np.where(sound, SOUND_TOKEN, ids)).astype("int32")
    patches = rng.uniform(size=(BATCH, 16, 48)).astype("float32")
    places = np.tile(np.stack(np.meshgrid(range(4), range(4)), -1).reshape(1, 16, 2).astype("int32"), (BATCH, 1, 1))
    mel = rng.normal(size=(BATCH, 16, 128)).astype("float32")
    ones, order = np.ones_like(ids), np.tile(np.arange(LENGTH, dtype="int32"), (BATCH, 1))
    keras = {
        "token_ids": ids,
        "padding_mask": ones,
        "position_ids": order,
        "pixel_values": patches[:, None],
        "pixel_position_ids": places[:, None],
        "vision_indices": _places(image),
        "vision_mask": image,
        "audio_mel": mel[:, None],
        "audio_mel_mask": np.ones((BATCH, 1, 16), "int32"),
        "audio_mask": sound,
        "audio_indices": _places(sound),
    }
    theirs = _longs({"input_ids": ids, "attention_mask": ones, "image_position_ids": places})
    theirs["input_features_mask"] = torch.ones(BATCH, 16, dtype=torch.bool)
    return keras, {**theirs, "pixel_values": torch.tensor(patches), "input_features": torch.tensor(mel)}


def read(backbone: Any, rng: np.random.Generator) -> Inputs:
    """Text alone."""
    ids = rng.integers(4, IMAGE_END, (BATCH, LENGTH), "int32")
    order = np.tile(np.arange(LENGTH, dtype="int32"), (BATCH, 1))
    return {"token_ids": ids, "padding_mask": np.ones_like(ids), "position_ids": order}, _longs({"input_ids": ids})


def pali_gemma_backbone(config: Any) -> Any:
    """keras_hub's PaliGemma for a transformers configuration of either version and any image size.

    keras_hub's own converter takes the size of a head from the number of image tokens, which is right at 224 pixels
    only, and does not know version 2.
    """
    text, vision = config.text_config, config.vision_config
    second = text.model_type == "gemma2"
    softcap = {"attention_logit_soft_cap": text.attn_logit_softcapping} if second else {}
    window = {"sliding_window_size": text.sliding_window} if second else {}
    return keras_hub.models.PaliGemmaBackbone(
        vocabulary_size=config.image_token_index,
        image_size=vision.image_size,
        num_layers=text.num_hidden_layers,
        num_query_heads=text.num_attention_heads,
        num_key_value_heads=text.num_key_value_heads,
        hidden_dim=text.hidden_size,
        intermediate_dim=text.intermediate_size * 2,
        head_dim=text.head_dim,
        use_post_ffw_norm=second,
        use_post_attention_norm=second,
        use_sliding_window_attention=second,
        vit_patch_size=vision.patch_size,
        vit_num_heads=vision.num_attention_heads,
        vit_hidden_dim=vision.hidden_size,
        vit_num_layers=vision.num_hidden_layers,
        vit_intermediate_dim=vision.intermediate_size,
        **softcap,
        **window,
    )


def _text_with_image(rng: np.random.Generator, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    ids = rng.integers(4, IMAGE_END, (BATCH, LENGTH), "int32")
    mask = np.zeros_like(ids)
    mask[:, 2 : 2 + tokens] = 1
    return np.where(mask, IMAGE_TOKEN, ids).astype("int32"), mask


def _places(mask: np.ndarray) -> np.ndarray:
    return np.tile(np.flatnonzero(mask[0]).astype("int32"), (len(mask), 1))


def _images(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.normal(size=(BATCH, size, size, 3)).astype("float32")


def _channels_first(images: np.ndarray) -> torch.Tensor:
    return torch.tensor(images).permute(0, 3, 1, 2)


def _longs(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(array).long() for name, array in arrays.items()}


_IMAGE_TOKENS = {
    "mm_tokens_per_image": 4,
    "image_token_index": IMAGE_TOKEN,
    "boi_token_index": 27,
    "eoi_token_index": IMAGE_END,
}


def _pali_gemma(name: str, text: dict[str, object]) -> Multimodal:
    vision = {**SIGLIP, "model_type": "siglip_vision_model", "image_size": 16}
    settings = {
        "text_config": {**TEXT, "vocab_size": 40, "head_dim": 16, **text},
        "vision_config": vision,
        "projection_dim": 24,
        "image_token_index": PADDED,
    }
    return Multimodal(
        "pali_gemma",
        "PaliGemmaForConditionalGeneration",
        "PaliGemmaConfig",
        settings,
        name,
        respelled=TOWER,
        inputs=image_first,
    )


_GEMMA4 = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8}
MULTIMODAL = [
    _pali_gemma("", {"model_type": "gemma"}),
    Multimodal(
        "t5gemma2",
        "T5Gemma2ForConditionalGeneration",
        "T5Gemma2Config",
        {
            "encoder": {"text_config": {**TEXT, **SLIDING}, "vision_config": SIGLIP, **_IMAGE_TOKENS},
            "decoder": {**TEXT, **SLIDING},
            "eoi_token_index": IMAGE_END,
            "image_token_index": IMAGE_TOKEN,
        },
        respelled=TOWER,
        inputs=encoded,
    ),
    Multimodal(
        "gemma4",
        "Gemma4ForConditionalGeneration",
        "Gemma4Config",
        {
            "text_config": {
                **TEXT,
                "num_hidden_layers": 4,
                "global_head_dim": 8,
                "num_kv_shared_layers": 2,
                "sliding_window": 8,
                "layer_types": _GEMMA4["layer_types"] * 2,
                "hidden_size_per_layer_input": 6,
                "vocab_size_per_layer_input": 31,
            },
            "vision_config": {
                "hidden_size": 12,
                "num_hidden_layers": 2,
                "num_attention_heads": 3,
                "num_key_value_heads": 3,
                "head_dim": 4,
                "intermediate_size": 20,
                "patch_size": 4,
                "position_embedding_size": 16,
                "pooling_kernel_size": 2,
                "standardize": True,
                "use_clipped_linears": True,
            },
            "audio_config": {
                "hidden_size": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "output_proj_dims": 12,
                "subsampling_conv_channels": [128, 3],
                "conv_kernel_size": 3,
            },
            "image_token_id": IMAGE_TOKEN,
            "audio_token_id": SOUND_TOKEN,
            "eoi_token_id": IMAGE_END,
        },
        inputs=seen_and_heard,
    ),
    Multimodal(
        "gemma4",
        "Gemma4ForCausalLM",
        "Gemma4TextConfig",
        {
            **TEXT,
            **_GEMMA4,
            "global_head_dim": 16,
            "attention_k_eq_v": True,
            "num_global_key_value_heads": 1,
            "hidden_size_per_layer_input": 0,
            "num_kv_shared_layers": 0,
            "enable_moe_block": True,
            "num_experts": 3,
            "top_k_experts": 2,
            "moe_intermediate_size": 12,
        },
        "experts",
        published={"global_head_dim": 16, "num_global_key_value_heads": 1},
        inputs=read,
    ),
    Multimodal(
        "gemma3",
        "Gemma3ForConditionalGeneration",
        "Gemma3Config",
        {"text_config": {**TEXT, **SLIDING}, "vision_config": SIGLIP, **_IMAGE_TOKENS},
        respelled=TOWER,
        inputs=interleaved,
    ),
]
PALI_GEMMA_2 = _pali_gemma("2", {"model_type": "gemma2", "query_pre_attn_scalar": 16, "sliding_window": 64})
