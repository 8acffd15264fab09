"""The transformers side: one or more tiny models for every rule file."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

_ENCODER = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 17,
}
_DECODER = {
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
}
_VISION = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "image_size": 16,
    "patch_size": 4,
}
ESM = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


@dataclass(frozen=True)
class Case:
    """One tiny model.

    Args:
        rules: Bare name of the rule file below ``keras_hub/``.
        model: The transformers class that is saved.
        config: Its configuration class.
        settings: What it is configured with.
        name: What tells it from the other cases of the rule file.
        published: Entries of published ``config.json`` files that this version of transformers does not write.
        respelled: Parts of names that this version of transformers spells otherwise than published files.
        dtype: An element type that all weights are exact in, where the yardstick goes through one.
        zeros: Parts of names of tensors that are zero, for the outputs to be equal.
        apart: Bounds of the outputs' difference where it comes from something else than the weights.
    """

    rules: str
    model: str
    config: str
    settings: dict = field(default_factory=dict)
    name: str = ""
    published: dict = field(default_factory=dict)
    respelled: dict[str, str] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    zeros: tuple[str, ...] = ()
    apart: tuple[float, float] | None = None

    def __str__(self) -> str:
        return f"{self.rules}-{self.name}" if self.name else self.rules


CASES = [
    Case("bert", "BertForPreTraining", "BertConfig", {**_ENCODER, "hidden_act": "gelu_new"}),
    Case("bert", "BertModel", "BertConfig", _ENCODER, "headless", apart=(1e-5, 1e-3)),
    Case(
        "gpt2",
        "GPT2LMHeadModel",
        "GPT2Config",
        {"vocab_size": 31, "n_embd": 12, "n_layer": 2, "n_head": 3, "n_positions": 17},
    ),
    Case("llama3", "LlamaForCausalLM", "LlamaConfig", {**_DECODER, "tie_word_embeddings": False}),
    Case("llama3", "LlamaForCausalLM", "LlamaConfig", {**_DECODER, "tie_word_embeddings": True}, "tied"),
    Case("mistral", "MistralForCausalLM", "MistralConfig", {**_DECODER, "head_dim": 6}, dtype=torch.float16),
    Case("qwen", "Qwen2ForCausalLM", "Qwen2Config", {**_DECODER, "tie_word_embeddings": True}, "tied"),
    Case("qwen", "Qwen2ForCausalLM", "Qwen2Config", {**_DECODER, "tie_word_embeddings": False}),
    Case(
        "qwen3",
        "Qwen3ForCausalLM",
        "Qwen3Config",
        {**_DECODER, "head_dim": 8, "tie_word_embeddings": True, "rms_norm_eps": 1e-5},
        "tied",
    ),
    Case(
        "qwen3",
        "Qwen3ForCausalLM",
        "Qwen3Config",
        {**_DECODER, "head_dim": 8, "tie_word_embeddings": False, "rms_norm_eps": 1e-5},
    ),
    Case("gemma", "GemmaForCausalLM", "GemmaConfig", {**_DECODER, "head_dim": 8}),
    Case(
        "gemma",
        "Gemma2ForCausalLM",
        "Gemma2Config",
        {**_DECODER, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8},
        "gemma2",
    ),
    Case(
        "gemma3",
        "Gemma3ForCausalLM",
        "Gemma3TextConfig",
        {**_DECODER, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8},
    ),
    Case(
        "roberta",
        "RobertaForMaskedLM",
        "RobertaConfig",
        {**_ENCODER, "layer_norm_eps": 1e-5},
        zeros=("token_type_embeddings",),
    ),
    Case(
        "roberta",
        "RobertaForSequenceClassification",
        "RobertaConfig",
        {**_ENCODER, "layer_norm_eps": 1e-5},
        "types",
        apart=(0.1, 2),
    ),
    Case("xlm_roberta", "XLMRobertaForMaskedLM", "XLMRobertaConfig", {**_ENCODER, "layer_norm_eps": 1e-5}),
    Case(
        "distilbert",
        "DistilBertForMaskedLM",
        "DistilBertConfig",
        {"vocab_size": 31, "dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 20, "max_position_embeddings": 17},
    ),
    Case("albert", "AlbertForPreTraining", "AlbertConfig", {**_ENCODER, "embedding_size": 8}),
    Case(
        "albert",
        "AlbertForPreTraining",
        "AlbertConfig",
        {**_ENCODER, "embedding_size": 8, "num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2},
        "groups",
    ),
    Case(
        "bart",
        "BartForConditionalGeneration",
        "BartConfig",
        {
            "vocab_size": 31,
            "d_model": 12,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 3,
            "decoder_attention_heads": 3,
            "encoder_ffn_dim": 20,
            "decoder_ffn_dim": 20,
            "max_position_embeddings": 17,
        },
        published={"num_hidden_layers": 2},
    ),
    Case("vit", "ViTForImageClassification", "ViTConfig", {**_VISION, "layer_norm_eps": 1e-6}),
    Case("deit", "DeiTForImageClassificationWithTeacher", "DeiTConfig", _VISION),
    Case("dinov2", "Dinov2Model", "Dinov2Config", {**_VISION, "mlp_ratio": 2}),
    Case(
        "dinov2",
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        {**_VISION, "mlp_ratio": 2, "num_register_tokens": 2, "use_swiglu_ffn": True},
        "registers",
    ),
    Case(
        "esm",
        "EsmForMaskedLM",
        "EsmConfig",
        {
            **_ENCODER,
            "position_embedding_type": "rotary",
            "pad_token_id": 1,
            "mask_token_id": 3,
            "emb_layer_norm_before": False,
            "token_dropout": False,
        },
        respelled=ESM,
    ),
    Case(
        "esm",
        "EsmForMaskedLM",
        "EsmConfig",
        {
            **_ENCODER,
            "position_embedding_type": "absolute",
            "pad_token_id": 1,
            "mask_token_id": 3,
            "emb_layer_norm_before": True,
            "token_dropout": False,
        },
        "absolute",
        respelled=ESM,
        apart=(0.1, 2),
    ),
    Case(
        "mixtral", "MixtralForCausalLM", "MixtralConfig", {**_DECODER, "num_local_experts": 3, "num_experts_per_tok": 2}
    ),
    Case(
        "qwen_moe",
        "Qwen2MoeForCausalLM",
        "Qwen2MoeConfig",
        {
            **_DECODER,
            "num_experts": 3,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 12,
            "shared_expert_intermediate_size": 16,
            "decoder_sparse_step": 1,
        },
    ),
    Case(
        "qwen3_moe",
        "Qwen3MoeForCausalLM",
        "Qwen3MoeConfig",
        {
            **_DECODER,
            "head_dim": 8,
            "num_experts": 3,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 12,
            "decoder_sparse_step": 1,
            "rms_norm_eps": 1e-6,
        },
        published={"num_experts": 3},
    ),
    Case("smollm3", "SmolLM3ForCausalLM", "SmolLM3Config", {**_DECODER, "num_hidden_layers": 4}),
    Case(
        "swin_transformer",
        "SwinForImageClassification",
        "SwinConfig",
        {"image_size": 32, "patch_size": 2, "embed_dim": 6, "depths": [2, 1], "num_heads": [2, 3], "window_size": 4},
    ),
    Case(
        "t5gemma",
        "T5GemmaForConditionalGeneration",
        "T5GemmaConfig",
        {
            "encoder": {**_DECODER, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8},
            "decoder": {
                **_DECODER,
                "head_dim": 8,
                "query_pre_attn_scalar": 8,
                "sliding_window": 8,
                "cross_attention_hidden_size": 24,
            },
            "vocab_size": 31,
        },
    ),
    Case(
        "metaclip_2",
        "MetaClip2Model",
        "MetaClip2Config",
        {
            "text_config": {**_ENCODER, "projection_dim": 10, "eos_token_id": 2, "pad_token_id": 1, "bos_token_id": 0},
            "vision_config": {**_VISION, "projection_dim": 10},
            "projection_dim": 10,
        },
    ),
    Case("dinov3", "DINOv3ViTModel", "DINOv3ViTConfig", {**_VISION, "num_register_tokens": 2}),
    Case(
        "dinov3",
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        {**_VISION, "num_register_tokens": 2, "use_gated_mlp": True, "query_bias": False, "hidden_act": "silu"},
        "gated",
    ),
]
