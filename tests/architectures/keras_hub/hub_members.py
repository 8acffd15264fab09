"""The published members of every family, by the sizes of their configurations."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import timm
import torch
import transformers
from hub_checkpoints import spelled
from hub_timm import OTHERS
from hub_transformers import ESM
from transformers.core_model_loading import revert_weight_conversion


@dataclass(frozen=True)
class Member:
    """One published model.

    Args:
        rules: Bare name of the rule file below ``keras_hub/``.
        name: Its name.
        model: The transformers class; empty for a timm architecture.
        config: Its configuration class.
        settings: Its configuration, where it is not the class's own.
        respelled: Parts of tensor names that transformers spells otherwise than published files, and how they do.
        published: Entries of published configurations that transformers does not write; of a nested one, in a dict.
    """

    rules: str
    name: str
    model: str = ""
    config: str = ""
    settings: tuple[tuple[str, object], ...] = ()
    respelled: dict[str, str] = field(default_factory=dict)
    published: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def lay_down(member: Member, folder: Path) -> None:
    """The member's folder: its real names and shapes, and zeros that take no room on the disk."""
    config, shapes = _of_transformers(member) if member.model else _of_timm(member)
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * shape.numel()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def _of_timm(member: Member) -> tuple[dict, dict[str, torch.Size]]:
    with torch.device("meta"):
        model = timm.create_model(member.name, pretrained=False)
    names = model.state_dict()
    # keras_hub tells by the tag of the published weights whether a model has learnable affine blocks
    tag = "" if any(".lab." in name for name in names) else "ssld_stage1_in22k_in1k"
    config = {"architecture": member.name, "pretrained_cfg": {"tag": tag}}
    return config, {name: tensor.shape for name, tensor in names.items()}


def _of_transformers(member: Member) -> tuple[dict, dict[str, torch.Size]]:
    config = getattr(transformers, member.config)(**dict(member.settings))
    with torch.device("meta"):
        model = getattr(transformers, member.model)._from_config(config)
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
    saved = revert_weight_conversion(model, own)
    written = {**config.to_dict(), "num_experts": getattr(config, "num_experts", None)}
    written.setdefault("num_hidden_layers", getattr(config, "num_hidden_layers", None))
    for key, value in member.published.items():
        written[key] = {**written[key], **value} if isinstance(value, dict) else value
    return written, {spelled(name, member.respelled): tensor.shape for name, tensor in saved.items()}


def _sizes(names: str, *rows: tuple) -> list[dict]:
    """Configurations from a table: its head names the entries, each row has a value for each."""
    return [dict(zip(names.split(), row, strict=True)) for row in rows]


_ENCODER = "num_hidden_layers hidden_size num_attention_heads intermediate_size"
_DECODER = f"vocab_size {_ENCODER} num_key_value_heads head_dim tie_word_embeddings"
_QWEN_VISION = {"depth": 27, "hidden_size": 1152, "num_heads": 16, "intermediate_size": 4304}
_TABLE: list[tuple[str, str, str, list[dict], dict]] = [
    ("bert", "BertForPreTraining", "BertConfig",
     _sizes(_ENCODER, (2, 128, 2, 512), (12, 768, 12, 3072), (24, 1024, 16, 4096)), {}),
    ("roberta", "RobertaForMaskedLM", "RobertaConfig",
     _sizes(_ENCODER, (12, 768, 12, 3072), (24, 1024, 16, 4096)),
     {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}),
    ("xlm_roberta", "XLMRobertaForMaskedLM", "XLMRobertaConfig",
     _sizes(_ENCODER, (12, 768, 12, 3072), (24, 1024, 16, 4096)),
     {"vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1}),
    ("distilbert", "DistilBertForMaskedLM", "DistilBertConfig", [{}], {}),
    ("albert", "AlbertForPreTraining", "AlbertConfig",
     _sizes(_ENCODER, (12, 768, 12, 3072), (24, 1024, 16, 4096), (24, 2048, 16, 8192), (12, 4096, 64, 16384)), {}),
    ("esm", "EsmForMaskedLM", "EsmConfig",
     _sizes(_ENCODER, (6, 320, 20, 1280), (12, 480, 20, 1920), (30, 640, 20, 2560), (33, 1280, 20, 5120)),
     {"vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32, "position_embedding_type": "rotary",
      "emb_layer_norm_before": False, "max_position_embeddings": 1026}),
    ("gpt2", "GPT2LMHeadModel", "GPT2Config",
     _sizes("n_layer n_embd n_head", (12, 768, 12), (24, 1024, 16), (36, 1280, 20), (48, 1600, 25)), {}),
    ("bart", "BartForConditionalGeneration", "BartConfig",
     _sizes("encoder_layers decoder_layers d_model encoder_attention_heads decoder_attention_heads "
            "encoder_ffn_dim decoder_ffn_dim", (6, 6, 768, 12, 12, 3072, 3072), (12, 12, 1024, 16, 16, 4096, 4096)),
     {}),
    ("vit", "ViTForImageClassification", "ViTConfig",
     _sizes(f"{_ENCODER} patch_size", (12, 768, 12, 3072, 16), (24, 1024, 16, 4096, 16), (32, 1280, 16, 5120, 14)), {}),
    ("deit", "DeiTForImageClassificationWithTeacher", "DeiTConfig",
     _sizes(_ENCODER, (12, 192, 3, 768), (12, 384, 6, 1536), (12, 768, 12, 3072)), {}),
    ("dinov2", "Dinov2Model", "Dinov2Config",
     _sizes("num_hidden_layers hidden_size num_attention_heads use_swiglu_ffn",
            (12, 384, 6, False), (12, 768, 12, False), (24, 1024, 16, False), (40, 1536, 24, True)),
     {"image_size": 518, "patch_size": 14}),
    ("dinov2", "Dinov2WithRegistersModel", "Dinov2WithRegistersConfig",
     _sizes("num_hidden_layers hidden_size num_attention_heads use_swiglu_ffn",
            (12, 384, 6, False), (40, 1536, 24, True)), {"image_size": 518, "patch_size": 14}),
    ("dinov3", "DINOv3ViTModel", "DINOv3ViTConfig",
     _sizes(f"{_ENCODER} use_gated_mlp", (12, 384, 6, 1536, False), (24, 1024, 16, 4096, False),
            (32, 1280, 20, 5120, True)), {"num_register_tokens": 4, "patch_size": 16}),
    ("swin_transformer", "SwinForImageClassification", "SwinConfig",
     _sizes("embed_dim depths num_heads window_size image_size", (96, [2, 2, 6, 2], [3, 6, 12, 24], 7, 224),
            (96, [2, 2, 18, 2], [3, 6, 12, 24], 7, 224), (128, [2, 2, 18, 2], [4, 8, 16, 32], 12, 384)), {}),
    ("llama3", "LlamaForCausalLM", "LlamaConfig",
     _sizes(_DECODER, (32000, 32, 4096, 32, 11008, 32, 128, False), (128256, 32, 4096, 32, 14336, 8, 128, False),
            (128256, 16, 2048, 32, 8192, 8, 64, True)), {}),
    ("mistral", "MistralForCausalLM", "MistralConfig",
     _sizes(_DECODER, (32000, 32, 4096, 32, 14336, 8, 128, False)), {}),
    ("mixtral", "MixtralForCausalLM", "MixtralConfig",
     _sizes(_DECODER, (32000, 32, 4096, 32, 14336, 8, 128, False)), {"num_local_experts": 8}),
    ("qwen", "Qwen2ForCausalLM", "Qwen2Config",
     _sizes(_DECODER, (151936, 24, 896, 14, 4864, 2, 64, True), (152064, 28, 3584, 28, 18944, 4, 128, False)), {}),
    ("qwen3", "Qwen3ForCausalLM", "Qwen3Config",
     _sizes(_DECODER, (151936, 28, 1024, 16, 3072, 8, 128, True), (151936, 36, 4096, 32, 12288, 8, 128, False)), {}),
    ("qwen_moe", "Qwen2MoeForCausalLM", "Qwen2MoeConfig",
     _sizes(_DECODER, (151936, 24, 2048, 16, 5632, 16, 128, False)),
     {"num_experts": 60, "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632}),
    ("qwen3_moe", "Qwen3MoeForCausalLM", "Qwen3MoeConfig",
     _sizes(_DECODER, (151936, 48, 2048, 32, 6144, 4, 128, False)),
     {"num_experts": 128, "moe_intermediate_size": 768}),
    ("smollm3", "SmolLM3ForCausalLM", "SmolLM3Config",
     _sizes(_DECODER, (128256, 36, 2048, 16, 11008, 4, 128, True)), {"pad_token_id": 0}),
    ("gemma", "GemmaForCausalLM", "GemmaConfig",
     _sizes(_DECODER, (256000, 18, 2048, 8, 16384, 1, 256, True), (256000, 28, 3072, 16, 24576, 16, 256, True)), {}),
    ("gemma", "Gemma2ForCausalLM", "Gemma2Config",
     _sizes(_DECODER, (256000, 26, 2304, 8, 9216, 4, 256, True), (256000, 46, 4608, 32, 36864, 16, 128, True)), {}),
    ("gemma3", "Gemma3ForCausalLM", "Gemma3TextConfig",
     _sizes(_DECODER, (262144, 18, 640, 4, 2048, 1, 256, True), (262144, 62, 5376, 32, 21504, 16, 128, True)), {}),
    ("metaclip_2", "MetaClip2Model", "MetaClip2Config",
     [{"projection_dim": 1024,
       "text_config": {"num_hidden_layers": 24, "hidden_size": 1024, "num_attention_heads": 16,
                       "intermediate_size": 4096, "vocab_size": 901629, "projection_dim": 1024},
       "vision_config": {"num_hidden_layers": 32, "hidden_size": 1280, "num_attention_heads": 16, "image_size": 224,
                         "intermediate_size": 5120, "patch_size": 14, "projection_dim": 1024}}], {}),
    ("qwen3_5", "Qwen3_5ForConditionalGeneration", "Qwen3_5Config",
     [{"text_config": {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 3584, "head_dim": 256,
                       "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 248320,
                       "linear_num_value_heads": 16},
       "vision_config": {"depth": 12, "hidden_size": 768, "num_heads": 12, "intermediate_size": 3072,
                         "out_hidden_size": 1024}, "tie_word_embeddings": True},
      {"text_config": {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 12288, "head_dim": 256,
                       "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 248320,
                       "linear_num_value_heads": 32},
       "vision_config": {**_QWEN_VISION, "out_hidden_size": 4096}, "tie_word_embeddings": False}], {}),
    ("qwen3_5_moe", "Qwen3_5MoeForConditionalGeneration", "Qwen3_5MoeConfig",
     [{"text_config": {"hidden_size": 2048, "num_hidden_layers": 40, "num_attention_heads": 16, "head_dim": 256,
                       "num_key_value_heads": 2, "vocab_size": 248320, "num_experts": 256,
                       "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512,
                       "linear_num_value_heads": 32},
       "vision_config": {**_QWEN_VISION, "out_hidden_size": 2048}, "tie_word_embeddings": False}], {}),
]  # fmt: skip

MEMBERS = [Member(rules, name) for rules, names in OTHERS.items() for name in names] + [
    Member(rules, f"{model}-{number}", model, config, tuple({**row, **common}.items()), ESM if rules == "esm" else {})
    for rules, model, config, rows, common in _TABLE
    for number, row in enumerate(rows)
]
