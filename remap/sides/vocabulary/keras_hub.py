"""keras_hub 0.32: layers that it builds from ``keras.layers.Layer`` itself, and how its layers call their settings."""

from __future__ import annotations

from remap.sides.operation import Operation

OPERATIONS: dict[str, Operation] = {
    **dict.fromkeys(
        (
            *("Gemma3nRMSNorm", "GptOssLayerNormalization", "LlamaLayerNorm", "MistralLayerNormalization"),
            *("MixtralLayerNormalization", "Phi3LayerNorm", "Qwen3LayerNorm", "Qwen3MoeLayerNorm", "Qwen3_5LayerNorm"),
            *("Qwen3_5RMSNormGated", "QwenLayerNorm", "QwenMoeLayerNorm", "RMSNormalization", "RmsNorm2d"),
            *("RoformerNorm", "T5LayerNorm", "Gemma4VNorm"),
        ),
        Operation.RMS_NORMALIZATION,
    ),
    **dict.fromkeys(
        (
            *("Attention2d", "BloomAttention", "CachedGemma3Attention", "CachedGemmaAttention"),
            *(
                "CachedMistralAttention",
                "CachedMixtralAttention",
                "Conv2DMultiHeadAttention",
                "DFineMultiheadAttention",
            ),
            *("DINOV2Attention", "DINOV3Attention", "DisentangledSelfAttention", "EsmSelfAttention", "FalconAttention"),
            *("FluxRoPEAttention", "GPTNeoXAttention", "Gemma3VisionAttention", "Gemma3nAudioAttention"),
            *("Gemma3nTextAttention", "Gemma4AudioAttention", "Gemma4TextAttention", "Gemma4VisionAttention"),
            *("GptOssAttention", "LlamaAttention", "MobileAttention", "MultiHeadAttentionWithDownsampling"),
            *("MultiHeadAttentionWithRelativePE", "MultiQueryAttention2d", "PaliGemmaVitAttention", "Phi3Attention"),
            *("QFormerAttention", "Qwen3Attention", "Qwen3MoeAttention", "Qwen3_5Attention", "Qwen3_5VisionAttention"),
            *("QwenAttention", "QwenMoeAttention", "RoformerAttention", "SAM3Attention", "SAM3RoPEAttention"),
            *("SegFormerMultiheadAttention", "SmolLM3Attention", "T5Gemma2Attention", "T5Gemma2MergedAttention"),
            *("T5GemmaAttention", "T5MultiHeadAttention", "TwoWayMultiHeadAttention", "VideoPrismAttention"),
            "WindowAttention",
        ),
        Operation.ATTENTION,
    ),
}

ACTIVATIONS = {"gelu_approximate": ("gelu", {"approximate": True}), "quick_gelu": ("quick_gelu", {})}
"""Its activations by the names of their functions: what they compute, and how they are set."""
CAUSAL = ("use_causal_mask", "is_causal", "causal")
"""Attributes, and arguments of calls, that say whether attention is causal."""
ANGLES, TURN = "_compute_cos_sin_embedding", "_apply_rotary_pos_emb"
"""What its RotaryEmbedding, and every class made from it, computes: cosines and sines, and the rotation."""
POSITIONS = "position_embeddings"
"""The weight of its PositionEmbedding: a row for each position."""
NEVER_CAUSAL = ("TransformerEncoder",)
"""Layers whose attention is not, whatever is in them."""
