"""The published models of language and images, by the sizes of their configurations."""

from __future__ import annotations

from hub_members import Member
from hub_multimodal import TOWER

_TEXT = "num_hidden_layers hidden_size num_attention_heads num_key_value_heads head_dim intermediate_size"
_SO400M = {"hidden_size": 1152, "num_hidden_layers": 27, "num_attention_heads": 16, "intermediate_size": 4304,
           "patch_size": 14, "vision_use_head": False}  # fmt: skip


def _text(values: str, **others: object) -> dict[str, object]:
    """A language model's configuration: numbers in the order of the names above."""
    return {**dict(zip(_TEXT.split(), map(int, values.split()), strict=True)), **others}


def _gemma3(name: str, text: str) -> Member:
    settings = {"text_config": _text(text, vocab_size=262208), "vision_config": {**_SO400M, "image_size": 896}}
    return Member("gemma3", name, "Gemma3ForConditionalGeneration", "Gemma3Config", tuple(settings.items()), TOWER)


MULTIMODAL_MEMBERS = [
    Member("gemma3", "gemma-3-1b", "Gemma3ForCausalLM", "Gemma3TextConfig",
           tuple(_text("26 1152 4 1 256 6912", vocab_size=262144).items())),
    _gemma3("gemma-3-4b", "34 2560 8 4 256 10240"),
    _gemma3("gemma-3-12b", "48 3840 16 8 256 15360"),
    _gemma3("gemma-3-27b", "62 5376 32 16 128 21504"),
]  # fmt: skip
