"""The published members of every family, by the sizes of their configurations."""

from __future__ import annotations

from hub_members import Member
from hub_timm import CASES, OTHERS
from hub_transformers import ESM

_ENCODER = "num_hidden_layers hidden_size num_attention_heads intermediate_size"
_DECODER = f"vocab_size {_ENCODER} num_key_value_heads head_dim tie_word_embeddings"
_EXPERTS = f"{_DECODER} num_experts moe_intermediate_size"
_SWIN = "embed_dim depths num_heads window_size image_size"
_DINOV2 = "num_hidden_layers hidden_size num_attention_heads use_swiglu_ffn"
_QWEN3_5 = f"{_ENCODER} num_key_value_heads linear_num_value_heads"


def _family(rules: str, model: str, config: str, names: str, common: dict[str, object], *rows: tuple) -> list[Member]:
    """Members from a table: rows of a size, keras_hub's preset if it states the parameters, and values by name."""
    respelled = ESM if rules == "esm" else {}
    return [
        Member(
            rules,
            f"{rules}-{size}",
            model,
            config,
            tuple({**common, **_named(names, values)}.items()),
            respelled,
            size=size,
            preset=preset,
        )
        for size, preset, *values in rows
    ]


def _named(names: str, values: list) -> dict[str, object]:
    return dict(zip(names.split(), values, strict=True))


def _t5gemma(size: str, preset: str, encoder: tuple, decoder: tuple | None = None) -> Member:
    names = "num_hidden_layers hidden_size num_attention_heads num_key_value_heads head_dim intermediate_size"
    sides = {"encoder": _named(names, [*encoder]), "decoder": _named(names, [*(decoder or encoder)])}
    settings = {**sides, "tie_word_embeddings": True, "vocab_size": 256000}
    return Member(
        "t5gemma",
        f"t5gemma-{size}",
        "T5GemmaForConditionalGeneration",
        "T5GemmaConfig",
        tuple(settings.items()),
        size=size,
        preset=preset,
    )


def _metaclip_2(size: str, preset: str, text: tuple, vision: tuple, image_size: int) -> Member:
    both = {"projection_dim": text[1]}
    settings = {
        **both,
        "text_config": {**_named(_ENCODER, [*text]), **both, "vocab_size": 901629},
        "vision_config": {**_named(_ENCODER, [*vision]), **both, "image_size": image_size, "patch_size": 14},
    }
    return Member(
        "metaclip_2",
        f"metaclip_2-{size}",
        "MetaClip2Model",
        "MetaClip2Config",
        tuple(settings.items()),
        size=size,
        preset=preset,
    )


def _qwen3_5(size: str, preset: str, text: tuple, vision: tuple, tied: bool, **experts: object) -> Member:
    one = {**_named(_QWEN3_5, [*text]), "head_dim": 256, "vocab_size": 248320, **experts}
    eyes = {**_named("depth hidden_size num_heads intermediate_size", [*vision]), "out_hidden_size": text[1]}
    rules, kind = ("qwen3_5_moe", "Qwen3_5Moe") if experts else ("qwen3_5", "Qwen3_5")
    settings = {"text_config": one, "vision_config": eyes, "tie_word_embeddings": tied}
    return Member(
        rules,
        f"{rules}-{size}",
        f"{kind}ForConditionalGeneration",
        f"{kind}Config",
        tuple(settings.items()),
        size=size,
        preset=preset,
    )


_SMALL_EYES, _MIDDLE_EYES, _LARGE_EYES = (12, 768, 12, 3072), (24, 1024, 16, 4096), (27, 1152, 16, 4304)
_HUGE, _GIANT = ((24, 1024, 16, 4096), (32, 1280, 16, 5120)), ((32, 1280, 20, 5120), (48, 1664, 16, 8192))
_2B, _9B = (26, 2304, 8, 4, 256, 9216), (42, 3584, 16, 8, 256, 14336)

MEMBERS = [
    *(Member(case.rules, case.architecture, size=case.architecture) for case in CASES),
    *(Member(rules, name, size=name) for rules, names in OTHERS.items() for name in names),
    *_family(
        "bert",
        "BertForPreTraining",
        "BertConfig",
        _ENCODER,
        {},
        ("tiny", "bert_tiny_en_uncased", 2, 128, 2, 512),
        ("mini", "", 4, 256, 4, 1024),
        ("small", "bert_small_en_uncased", 4, 512, 8, 2048),
        ("medium", "bert_medium_en_uncased", 8, 512, 8, 2048),
        ("base", "bert_base_en_uncased", 12, 768, 12, 3072),
        ("large", "bert_large_en_uncased", 24, 1024, 16, 4096),
    ),
    *_family(
        "roberta",
        "RobertaForMaskedLM",
        "RobertaConfig",
        _ENCODER,
        {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1},
        ("base", "roberta_base_en", 12, 768, 12, 3072),
        ("large", "roberta_large_en", 24, 1024, 16, 4096),
    ),
    *_family(
        "xlm_roberta",
        "XLMRobertaForMaskedLM",
        "XLMRobertaConfig",
        _ENCODER,
        {"vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1},
        ("base", "xlm_roberta_base_multi", 12, 768, 12, 3072),
        ("large", "xlm_roberta_large_multi", 24, 1024, 16, 4096),
    ),
    *_family(
        "distilbert", "DistilBertForMaskedLM", "DistilBertConfig", "", {}, ("base", "distil_bert_base_en_uncased")
    ),
    *_family(
        "albert",
        "AlbertForPreTraining",
        "AlbertConfig",
        _ENCODER,
        {},
        ("base", "albert_base_en_uncased", 12, 768, 12, 3072),
        ("large", "albert_large_en_uncased", 24, 1024, 16, 4096),
        ("xlarge", "albert_extra_large_en_uncased", 24, 2048, 16, 8192),
        ("xxlarge", "albert_extra_extra_large_en_uncased", 12, 4096, 64, 16384),
    ),
    *_family(
        "esm",
        "EsmForMaskedLM",
        "EsmConfig",
        _ENCODER,
        {
            "vocab_size": 33,
            "pad_token_id": 1,
            "mask_token_id": 32,
            "position_embedding_type": "rotary",
            "emb_layer_norm_before": False,
            "max_position_embeddings": 1026,
        },
        ("8M", "esm2_t6_8M", 6, 320, 20, 1280),
        ("35M", "esm2_t12_35M", 12, 480, 20, 1920),
        ("150M", "esm2_t30_150M", 30, 640, 20, 2560),
        ("650M", "esm2_t33_650M", 33, 1280, 20, 5120),
        ("3B", "", 36, 2560, 40, 10240),
        ("15B", "", 48, 5120, 40, 20480),
    ),
    *_family(
        "gpt2",
        "GPT2LMHeadModel",
        "GPT2Config",
        "n_layer n_embd n_head",
        {},
        ("base", "gpt2_base_en", 12, 768, 12),
        ("medium", "gpt2_medium_en", 24, 1024, 16),
        ("large", "gpt2_large_en", 36, 1280, 20),
        ("xl", "gpt2_extra_large_en", 48, 1600, 25),
    ),
    *_family(
        "bart",
        "BartForConditionalGeneration",
        "BartConfig",
        "encoder_layers decoder_layers d_model encoder_attention_heads decoder_attention_heads "
        "encoder_ffn_dim decoder_ffn_dim",
        {},
        ("base", "bart_base_en", 6, 6, 768, 12, 12, 3072, 3072),
        ("large", "bart_large_en", 12, 12, 1024, 16, 16, 4096, 4096),
    ),
    *_family(
        "vit",
        "ViTForImageClassification",
        "ViTConfig",
        f"{_ENCODER} patch_size image_size",
        {},
        ("B/16", "vit_base_patch16_224_imagenet", 12, 768, 12, 3072, 16, 224),
        ("B/32", "vit_base_patch32_384_imagenet", 12, 768, 12, 3072, 32, 384),
        ("L/16", "vit_large_patch16_224_imagenet", 24, 1024, 16, 4096, 16, 224),
        ("L/32", "vit_large_patch32_384_imagenet", 24, 1024, 16, 4096, 32, 384),
        ("H/14", "vit_huge_patch14_224_imagenet21k", 32, 1280, 16, 5120, 14, 224),
    ),
    *_family(
        "deit",
        "DeiTForImageClassificationWithTeacher",
        "DeiTConfig",
        _ENCODER,
        {},
        ("tiny", "deit_tiny_distilled_patch16_224_imagenet", 12, 192, 3, 768),
        ("small", "deit_small_distilled_patch16_224_imagenet", 12, 384, 6, 1536),
        ("base", "deit_base_distilled_patch16_224_imagenet", 12, 768, 12, 3072),
    ),
    *_family(
        "dinov2",
        "Dinov2Model",
        "Dinov2Config",
        _DINOV2,
        {"image_size": 518, "patch_size": 14},
        ("small", "dinov2_small", 12, 384, 6, False),
        ("base", "dinov2_base", 12, 768, 12, False),
        ("large", "dinov2_large", 24, 1024, 16, False),
        ("giant", "dinov2_giant", 40, 1536, 24, True),
    ),
    *_family(
        "dinov2",
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        _DINOV2,
        {"image_size": 518, "patch_size": 14},
        ("small with registers", "dinov2_with_registers_small", 12, 384, 6, False),
        ("base with registers", "dinov2_with_registers_base", 12, 768, 12, False),
        ("large with registers", "dinov2_with_registers_large", 24, 1024, 16, False),
        ("giant with registers", "dinov2_with_registers_giant", 40, 1536, 24, True),
    ),
    *_family(
        "dinov3",
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        f"{_ENCODER} use_gated_mlp",
        {"num_register_tokens": 4, "patch_size": 16},
        ("S", "", 12, 384, 6, 1536, False),
        ("S+", "", 12, 384, 6, 1536, True),
        ("B", "", 12, 768, 12, 3072, False),
        ("L", "", 24, 1024, 16, 4096, False),
        ("H+", "", 32, 1280, 20, 5120, True),
        ("7B", "", 40, 4096, 32, 8192, True),
    ),
    *_family(
        "swin_transformer",
        "SwinForImageClassification",
        "SwinConfig",
        _SWIN,
        {},
        ("T", "swin_tiny_patch4_window7_224", 96, [2, 2, 6, 2], [3, 6, 12, 24], 7, 224),
        ("S", "swin_small_patch4_window7_224", 96, [2, 2, 18, 2], [3, 6, 12, 24], 7, 224),
        ("B", "swin_base_patch4_window12_384", 128, [2, 2, 18, 2], [4, 8, 16, 32], 12, 384),
        ("L", "swin_large_patch4_window7_224", 192, [2, 2, 18, 2], [6, 12, 24, 48], 7, 224),
    ),
    *_family(
        "llama3",
        "LlamaForCausalLM",
        "LlamaConfig",
        _DECODER,
        {},
        ("2 7B", "llama2_7b_en", 32000, 32, 4096, 32, 11008, 32, 128, False),
        ("2 13B", "", 32000, 40, 5120, 40, 13824, 40, 128, False),
        ("2 70B", "", 32000, 80, 8192, 64, 28672, 8, 128, False),
        ("3 8B", "llama3_8b_en", 128256, 32, 4096, 32, 14336, 8, 128, False),
        ("3 70B", "", 128256, 80, 8192, 64, 28672, 8, 128, False),
        ("3.1 405B", "", 128256, 126, 16384, 128, 53248, 8, 128, False),
        ("3.2 1B", "", 128256, 16, 2048, 32, 8192, 8, 64, True),
        ("3.2 3B", "", 128256, 28, 3072, 24, 8192, 8, 128, True),
    ),
    *_family(
        "mistral",
        "MistralForCausalLM",
        "MistralConfig",
        _DECODER,
        {},
        ("7B", "mistral_7b_en", 32000, 32, 4096, 32, 14336, 8, 128, False),
        ("7B v0.3", "mistral_0.3_7b_en", 32768, 32, 4096, 32, 14336, 8, 128, False),
        ("Small 24B", "magistral_small_2506_en", 131072, 40, 5120, 32, 32768, 8, 128, False),
    ),
    *_family(
        "mixtral",
        "MixtralForCausalLM",
        "MixtralConfig",
        _DECODER,
        {"num_local_experts": 8},
        ("8x7B", "mixtral_8_7b_en", 32000, 32, 4096, 32, 14336, 8, 128, False),
        ("8x22B", "", 32768, 56, 6144, 48, 16384, 8, 128, False),
    ),
    *_family(
        "qwen",
        "Qwen2ForCausalLM",
        "Qwen2Config",
        _DECODER,
        {},
        ("0.5B", "qwen2.5_0.5b_en", 151936, 24, 896, 14, 4864, 2, 64, True),
        ("1.5B", "qwen2.5_math_1.5b_en", 151936, 28, 1536, 12, 8960, 2, 128, True),
        ("3B", "qwen2.5_3b_en", 151936, 36, 2048, 16, 11008, 2, 128, True),
        ("7B", "qwen2.5_math_7b_en", 152064, 28, 3584, 28, 18944, 4, 128, False),
        ("14B", "", 152064, 48, 5120, 40, 13824, 8, 128, False),
        ("32B", "qwen2.5_instruct_32b_en", 152064, 64, 5120, 40, 27648, 8, 128, False),
        ("72B", "qwen2.5_instruct_72b_en", 152064, 80, 8192, 64, 29568, 8, 128, False),
    ),
    *_family(
        "qwen3",
        "Qwen3ForCausalLM",
        "Qwen3Config",
        _DECODER,
        {},
        ("0.6B", "qwen3_0.6b_en", 151936, 28, 1024, 16, 3072, 8, 128, True),
        ("1.7B", "qwen3_1.7b_en", 151936, 28, 2048, 16, 6144, 8, 128, True),
        ("4B", "qwen3_4b_en", 151936, 36, 2560, 32, 9728, 8, 128, True),
        ("8B", "qwen3_8b_en", 151936, 36, 4096, 32, 12288, 8, 128, False),
        ("14B", "qwen3_14b_en", 151936, 40, 5120, 40, 17408, 8, 128, False),
        ("32B", "qwen3_32b_en", 151936, 64, 5120, 64, 25600, 8, 128, False),
    ),
    *_family(
        "qwen_moe",
        "Qwen2MoeForCausalLM",
        "Qwen2MoeConfig",
        f"{_EXPERTS} shared_expert_intermediate_size",
        {},
        ("1.5 A2.7B", "qwen1.5_moe_2.7b_en", 151936, 24, 2048, 16, 5632, 16, 128, False, 60, 1408, 5632),
        ("2 57B-A14B", "", 151936, 28, 3584, 28, 18944, 4, 128, False, 64, 2560, 20480),
    ),
    *_family(
        "qwen3_moe",
        "Qwen3MoeForCausalLM",
        "Qwen3MoeConfig",
        _EXPERTS,
        {},
        ("30B-A3B", "qwen3_moe_30b_a3b_en", 151936, 48, 2048, 32, 6144, 4, 128, False, 128, 768),
        ("235B-A22B", "qwen3_moe_235b_a22b_en", 151936, 94, 4096, 64, 12288, 4, 128, False, 128, 1536),
    ),
    *_family(
        "smollm3",
        "SmolLM3ForCausalLM",
        "SmolLM3Config",
        _DECODER,
        {"pad_token_id": 0},
        ("3B", "smollm3_3b_en", 128256, 36, 2048, 16, 11008, 4, 128, True),
    ),
    *_family(
        "gpt_oss",
        "GptOssForCausalLM",
        "GptOssConfig",
        "num_hidden_layers num_local_experts",
        {},
        ("20B", "gpt_oss_20b_en", 24, 32),
        ("120B", "gpt_oss_120b_en", 36, 128),
    ),
    *_family(
        "gemma",
        "GemmaForCausalLM",
        "GemmaConfig",
        _DECODER,
        {},
        ("2B", "gemma_2b_en", 256000, 18, 2048, 8, 16384, 1, 256, True),
        ("7B", "gemma_7b_en", 256000, 28, 3072, 16, 24576, 16, 256, True),
    ),
    *_family(
        "gemma",
        "Gemma2ForCausalLM",
        "Gemma2Config",
        _DECODER,
        {},
        ("2 2B", "gemma2_2b_en", 256000, 26, 2304, 8, 9216, 4, 256, True),
        ("2 9B", "gemma2_9b_en", 256000, 42, 3584, 16, 14336, 8, 256, True),
        ("2 27B", "gemma2_27b_en", 256000, 46, 4608, 32, 36864, 16, 128, True),
    ),
    *_family(
        "gemma3",
        "Gemma3ForCausalLM",
        "Gemma3TextConfig",
        _DECODER,
        {},
        ("270M", "gemma3_270m", 262144, 18, 640, 4, 2048, 1, 256, True),
        ("1B", "gemma3_1b", 262144, 26, 1152, 4, 6912, 1, 256, True),
        ("27B text", "gemma3_27b_text", 262144, 62, 5376, 32, 21504, 16, 128, True),
    ),
    _metaclip_2("H/14", "metaclip_2_vit_huge_patch14_224", *_HUGE, 224),
    _metaclip_2("H/14 at 378", "metaclip_2_vit_huge_patch14_378", *_HUGE, 378),
    _metaclip_2("bigG/14", "metaclip_2_vit_giant_patch14_224", *_GIANT, 224),
    _metaclip_2("bigG/14 at 378", "metaclip_2_vit_giant_patch14_378", *_GIANT, 378),
    _t5gemma("S-S", "t5gemma_s_s_ul2", (8, 512, 8, 8, 64, 1024)),
    _t5gemma("B-B", "t5gemma_b_b_ul2", (12, 768, 12, 12, 64, 2048)),
    _t5gemma("L-L", "t5gemma_l_l_ul2", (24, 1024, 16, 16, 64, 2816)),
    _t5gemma("ML-ML", "t5gemma_ml_ml_ul2", (26, 1152, 16, 16, 64, 6912)),
    _t5gemma("XL-XL", "t5gemma_xl_xl_ul2", (24, 2048, 32, 32, 64, 5120)),
    _t5gemma("2B-2B", "t5gemma_2b_2b_ul2", _2B),
    _t5gemma("9B-2B", "t5gemma_9b_2b_ul2", _9B, _2B),
    _t5gemma("9B-9B", "t5gemma_9b_9b_ul2", _9B),
    _qwen3_5("0.8B", "qwen3_5_0.8b", (24, 1024, 8, 3584, 2, 16), _SMALL_EYES, True),
    _qwen3_5("2B", "qwen3_5_2b", (24, 2048, 8, 6144, 2, 16), _MIDDLE_EYES, True),
    _qwen3_5("4B", "qwen3_5_4b", (32, 2560, 16, 9216, 4, 32), _MIDDLE_EYES, True),
    _qwen3_5("9B", "qwen3_5_9b", (32, 4096, 16, 12288, 4, 32), _LARGE_EYES, False),
    _qwen3_5("27B", "qwen3_5_27b", (64, 5120, 24, 17408, 4, 48), _LARGE_EYES, False),
    _qwen3_5(
        "35B-A3B",
        "qwen3_5_moe_35b_a3b",
        (40, 2048, 16, 0, 2, 32),
        _LARGE_EYES,
        False,
        num_experts=256,
        moe_intermediate_size=512,
        shared_expert_intermediate_size=512,
    ),
    _qwen3_5(
        "122B-A10B",
        "",
        (48, 3072, 32, 0, 2, 64),
        _LARGE_EYES,
        False,
        num_experts=256,
        moe_intermediate_size=1024,
        shared_expert_intermediate_size=1024,
    ),
    _qwen3_5(
        "397B-A17B",
        "",
        (60, 4096, 32, 0, 2, 64),
        _LARGE_EYES,
        False,
        num_experts=512,
        moe_intermediate_size=1024,
        shared_expert_intermediate_size=1024,
    ),
]
"""All of text or of images alone."""
