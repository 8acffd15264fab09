"""A tiny SAM 3: what it is built from, its folder as it is published, and the mask of keras_hub's text encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers.masking_utils import create_bidirectional_mask

SIZE, TILES, GRID, LENGTH, BOXES = 48, 2, 6, 8, 2
"""Images of 12 by 12 patches, whose position embeddings are those of 6 by 6, twice in each direction."""
NORMS = {"layer_norm_eps": 1e-5}
"""The epsilon of the norms behind the encoders: transformers takes this one, whatever the configuration says."""
_JOINING = {"hidden_size": 16, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 20}
SETTINGS = {
    "vision_config": {
        "fpn_hidden_size": 16,
        "backbone_feature_sizes": [[48, 48], [24, 24], [12, 12]],
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": 24,
            "intermediate_size": 20,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIZE,
            "patch_size": 4,
            "pretrain_image_size": 24,
            "window_size": 6,
            "global_attn_indexes": [1],
        },
    },
    "text_config": {
        "vocab_size": 31,
        "hidden_size": 12,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": LENGTH,
        "projection_dim": 12,
        "hidden_act": "gelu",
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "geometry_encoder_config": {**_JOINING, **NORMS, "roi_size": 3},
    "detr_encoder_config": {**_JOINING, **NORMS},
    "detr_decoder_config": {**_JOINING, **NORMS, "num_queries": 5},
    "mask_decoder_config": {**NORMS, "hidden_size": 16, "num_attention_heads": 2},
}
TRACKER = {"tracker_model.mask_decoder.iou_token.weight": (1, 16), "tracker_neck.fpn_layers.0.proj1.bias": (16,)}


def save_detector(model: torch.nn.Module, folder: Path) -> None:
    """A Sam3Model as it is published: as the detector beside the tracker of a Sam3VideoModel."""
    tensors = {f"detector_model.{name}": tensor for name, tensor in model.state_dict().items()}
    save_file({**tensors, **{name: torch.ones(shape) for name, shape in TRACKER.items()}}, folder / "model.safetensors")
    config = {"model_type": "sam3_video", "detector_config": model.config.to_dict()}
    (folder / "config.json").write_text(json.dumps(config))


def bidirectional(**settings: Any) -> torch.Tensor:
    """The mask of keras_hub's text encoder: every token sees all that are not padding."""
    return create_bidirectional_mask(
        config=settings["config"], inputs_embeds=settings["inputs_embeds"], attention_mask=settings["attention_mask"]
    )
