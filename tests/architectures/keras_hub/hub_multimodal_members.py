"""The published models of language and images, by the sizes of their configurations."""

from __future__ import annotations

from hub_members import Member
from hub_multimodal import TOWER

_TEXT = "num_hidden_layers hidden_size num_attention_heads num_key_value_heads head_dim intermediate_size"
_SO400M = {
    "hidden_size": 1152,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "intermediate_size": 4304,
    "patch_size": 14,
    "vision_use_head": False,
}


def _text(values: str, **others: object) -> dict[str, object]:
    """A language model's configuration: numbers in the order of the names above."""
    return {**dict(zip(_TEXT.split(), map(int, values.split()), strict=True)), **others}


def _gemma3(size: str, preset: str, text: str) -> Member:
    settings = {"text_config": _text(text, vocab_size=262208), "vision_config": {**_SO400M, "image_size": 896}}
    return Member(
        "gemma3",
        f"gemma-3-{size}",
        "Gemma3ForConditionalGeneration",
        "Gemma3Config",
        tuple(settings.items()),
        TOWER,
        size=size,
        preset=preset,
    )


def _pali_gemma(size: str, preset: str, text: str, pixels: int, **others: object) -> Member:
    wide = _text(text, vocab_size=257216, **others)
    settings = {
        "text_config": wide,
        "image_token_index": 257152,
        "projection_dim": wide["hidden_size"],
        "vision_config": {**_SO400M, "image_size": pixels, "model_type": "siglip_vision_model"},
    }
    return Member(
        "pali_gemma",
        f"pali_gemma-{size}-{pixels}",
        "PaliGemmaForConditionalGeneration",
        "PaliGemmaConfig",
        tuple(settings.items()),
        TOWER,
        size=size,
        preset=preset,
    )


def _t5gemma2(size: str, preset: str, text: str) -> Member:
    one = _text(text, vocab_size=262144)
    encoder = {"text_config": one, "vision_config": {**_SO400M, "image_size": 896}}
    settings = {"encoder": encoder, "decoder": one, "eoi_token_index": 256000}
    return Member(
        "t5gemma2",
        f"t5gemma-2-{size}",
        "T5Gemma2ForConditionalGeneration",
        "T5Gemma2Config",
        tuple(settings.items()),
        TOWER,
        size=size,
        preset=preset,
    )


_GEMMA4_IMAGES = {
    "hidden_size": 768,
    "num_hidden_layers": 16,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "head_dim": 64,
    "intermediate_size": 3072,
    "patch_size": 16,
    "use_clipped_linears": True,
}
_GEMMA4_IMAGES_OF_LARGE = {
    "hidden_size": 1152,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "head_dim": 72,
    "num_key_value_heads": 16,
    "intermediate_size": 4304,
    "patch_size": 16,
    "standardize": True,
}


def _gemma4(size: str, text: str, heads: dict[str, int], every: int, sound: bool = False, **others: object) -> Member:
    """Every so many layers, one attends to everything, with heads of its own."""
    one = _text(text, vocab_size=262144, **heads, **others)
    layers = one["num_hidden_layers"]
    one["layer_types"] = ["sliding_attention" if (n + 1) % every else "full_attention" for n in range(layers)]
    settings = {
        "text_config": one,
        "vision_config": _GEMMA4_IMAGES if sound else _GEMMA4_IMAGES_OF_LARGE,
        "audio_config": {} if sound else None,
    }
    return Member(
        "gemma4",
        f"gemma-4-{size}",
        "Gemma4ForConditionalGeneration",
        "Gemma4Config",
        tuple(settings.items()),
        published={"text_config": heads},
        size=size,
    )


# published files have keys and values for the layers too that share those of an earlier one
def _gemma3n(size: str, name: str, layers: int, intermediate: int, shared: int = 0) -> Member:
    text = {
        "num_hidden_layers": layers,
        "intermediate_size": intermediate,
        "num_kv_shared_layers": shared,
        "activation_sparsity_pattern": [0.0] * layers,
    }
    return Member(
        "gemma3n",
        name,
        "Gemma3nForConditionalGeneration",
        "Gemma3nConfig",
        (("text_config", text),),
        published={"text_config": {"rope_theta": 1e6}},
        size=size,
        preset=f"gemma3n_{size.lower()}",
    )


def _gemma4_assistant(size: str, text: str, width: int, ordered: bool = False, **others: object) -> Member:
    """Four layers without keys and values of their own; the width is that of the model that it drafts for."""
    layers = ["sliding_attention"] * 3 + ["full_attention"]
    heads = {"global_head_dim": 512, **others}
    one = _text(
        text,
        vocab_size=262144,
        layer_types=layers,
        hidden_size_per_layer_input=0,
        vocab_size_per_layer_input=0,
        model_type="gemma4_text",
        **heads,
    )
    settings = {"text_config": one, "backbone_hidden_size": width, "use_ordered_embeddings": ordered}
    model = "Gemma4AssistantForCausalLM"
    return Member(
        "gemma4_assistant",
        f"gemma-4-{size}-assistant",
        model,
        "Gemma4AssistantConfig",
        tuple(settings.items()),
        published={"text_config": heads, "architectures": [model]},
        size=size,
    )


def _blip2(size: str, hidden: int) -> Member:
    text = {
        "model_type": "opt",
        "vocab_size": 50304,
        "hidden_size": hidden,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "ffn_dim": 4 * hidden,
        "word_embed_proj_dim": hidden,
    }
    return Member(
        "blip2",
        f"blip2-opt-{size}",
        "Blip2ForConditionalGeneration",
        "Blip2Config",
        (("text_config", text),),
        size=size,
        preset=f"blip2_opt_{size.lower()}",
    )


def _blip2_flan_t5(size: str, hidden: int, heads: int, intermediate: int) -> Member:
    text = {
        "model_type": "t5",
        "vocab_size": 32128,
        "d_model": hidden,
        "d_kv": 64,
        "d_ff": intermediate,
        "num_layers": 24,
        "num_heads": heads,
        "feed_forward_proj": "gated-gelu",
    }
    return Member(
        "blip2_flan_t5",
        f"blip2-flan-t5-{size}",
        "Blip2ForConditionalGeneration",
        "Blip2Config",
        (("text_config", text),),
        size=size,
    )


_PALI_GEMMA_3B = _pali_gemma("3B", "pali_gemma_3b_224", "18 2048 8 1 256 16384", 224, model_type="gemma")
PALI_GEMMA_MEMBERS = [
    _pali_gemma("3B", "pali_gemma_3b_896", "18 2048 8 1 256 16384", 896, model_type="gemma"),
    _pali_gemma("2 3B", "pali_gemma2_pt_3b_224", "26 2304 8 4 256 9216", 224, model_type="gemma2"),
    _pali_gemma("2 10B", "pali_gemma2_pt_10b_448", "42 3584 16 8 256 14336", 448, model_type="gemma2"),
    _pali_gemma("2 28B", "", "46 4608 32 16 128 36864", 896, model_type="gemma2"),
]
"""Those whose configuration keras_hub's converter does not read."""

GEMMA4_ASSISTANTS = [
    _gemma4_assistant("E2B", "4 256 4 1 256 2048", 1536, ordered=True),
    _gemma4_assistant("E4B", "4 256 4 2 256 2048", 2560, ordered=True),
    _gemma4_assistant("26B-A4B", "4 1024 16 8 256 8192", 2816, attention_k_eq_v=True, num_global_key_value_heads=2),
    _gemma4_assistant("31B", "4 1024 32 16 256 8192", 5376, attention_k_eq_v=True, num_global_key_value_heads=4),
]

MULTIMODAL_MEMBERS = [
    _PALI_GEMMA_3B,
    _blip2("2.7B", 2560),
    _blip2("6.7B", 4096),
    _blip2_flan_t5("XL", 2048, 32, 5120),
    _blip2_flan_t5("XXL", 4096, 64, 10240),
    _gemma3("4B", "medgemma_4b", "34 2560 8 4 256 10240"),
    _gemma3("12B", "", "48 3840 16 8 256 15360"),
    _gemma3("27B", "medgemma_instruct_27b", "62 5376 32 16 128 21504"),
    _gemma4(
        "E2B",
        "35 1536 8 1 256 6144",
        {"global_head_dim": 512},
        5,
        sound=True,
        num_kv_shared_layers=20,
        use_double_wide_mlp=True,
    ),
    _gemma4("E4B", "42 2560 8 2 256 10240", {"global_head_dim": 512}, 6, sound=True, num_kv_shared_layers=18),
    _gemma4(
        "31B",
        "60 5376 32 16 256 21504",
        {"global_head_dim": 512, "num_global_key_value_heads": 4},
        6,
        attention_k_eq_v=True,
        hidden_size_per_layer_input=0,
    ),
    _gemma4(
        "26B-A4B",
        "30 2816 16 8 256 2112",
        {"global_head_dim": 512, "num_global_key_value_heads": 2},
        6,
        attention_k_eq_v=True,
        hidden_size_per_layer_input=0,
        enable_moe_block=True,
        num_experts=128,
        top_k_experts=8,
        moe_intermediate_size=704,
    ),
    *GEMMA4_ASSISTANTS,
    _gemma3n("E2B", "gemma-3n-E2B", 30, 8192),
    _gemma3n("E4B", "gemma-3n-E4B", 35, 16384),
    _gemma3n("E4B", "gemma-3n-E4B-saved-by-transformers-5", 35, 16384, shared=15),
    Member("sam3", "sam3", "Sam3VideoModel", "Sam3VideoConfig", size="SAM 3"),
    _t5gemma2("270M-270M", "", "18 640 4 1 256 2048"),
    _t5gemma2("1B-1B", "", "26 1152 4 1 256 6912"),
    _t5gemma2("4B-4B", "t5gemma2_4b_4b", "34 2560 8 4 256 10240"),
]
