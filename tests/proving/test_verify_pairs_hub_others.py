"""Rule files for keras_hub whose inputs are more than tokens, or whose backbones are built by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras_hub
import numpy as np
import pytest
import torch
from keras_hub.src.utils.timm import convert_mobilenetv5
from keras_hub.src.utils.transformers import convert_qwen3_5, convert_qwen3_5_moe
from repository import ROOT
from test_verify_pairs_hub import EQUAL as EQUAL_TRANSFORMERS
from test_verify_pairs_hub import EQUAL_TIMM, NOTED, TIMM, TRANSFORMERS
from transformers.models.llama import modeling_llama
from verify_hub import OTHER_PLACES, arrays, assert_equal, built, checkpoints, hold_transformers, inputs_of, preset

from remap import verify
from remap.rules.load import load_rules
from remap.sides.keras.spec import ModelSource

import hub_multimodal as multimodal  # isort: skip
import test_keras_hub_blip2 as blip2  # isort: skip
import test_keras_hub_gpt_oss as gpt_oss  # isort: skip
import test_keras_hub_mobilenetv5 as mobilenetv5  # isort: skip
import test_keras_hub_qwen3_5 as qwen3_5  # isort: skip
import test_keras_hub_resnet_vd as resnet_vd  # isort: skip
from hub_transformers import Case  # isort: skip

pytestmark = pytest.mark.architectures


IMAGE_TOKENS = 16
"""Of an image, in the small PaliGemma."""


def last(images: torch.Tensor) -> torch.Tensor:
    """Channels first, as arrays of four axes are handed over, moved last again."""
    return images.movedim(1, -1)


def interleaved(self, token_ids, padding_mask, images, vision_indices, vision_mask):
    pixels = images[:, 0].permute(0, 3, 1, 2)
    return type(self).forward(
        self, input_ids=token_ids, attention_mask=padding_mask, token_type_ids=vision_mask, pixel_values=pixels
    )


def encoded(
    self, encoder_token_ids, encoder_padding_mask, decoder_token_ids, decoder_padding_mask, images, vision_indices
):
    pixels = images[:, 0].permute(0, 3, 1, 2)
    return type(self).forward(
        self,
        input_ids=encoder_token_ids,
        attention_mask=encoder_padding_mask,
        decoder_input_ids=decoder_token_ids,
        pixel_values=pixels,
    )


def image_first(self, token_ids, padding_mask, images, response_mask):
    before = torch.full((len(images), IMAGE_TOKENS), multimodal.PADDED)
    ids = torch.hstack([before, token_ids])
    kinds = torch.hstack([before * 0, response_mask])
    return type(self).forward(
        self, input_ids=ids, attention_mask=torch.ones_like(ids), token_type_ids=kinds, pixel_values=images
    )


def seen_and_heard(self, token_ids, padding_mask, pixel_values, pixel_position_ids, audio_mel, audio_mel_mask, **_):
    return type(self).forward(
        self,
        input_ids=token_ids,
        attention_mask=padding_mask,
        pixel_values=last(pixel_values)[:, 0],
        image_position_ids=last(pixel_position_ids)[:, 0],
        input_features=last(audio_mel)[:, 0],
        input_features_mask=audio_mel_mask[:, 0].bool(),
    )


def read(self, token_ids, **_):
    return type(self).forward(self, input_ids=token_ids)


def asked(self, token_ids, padding_mask, images):
    before = torch.full((len(images), blip2.QUERIES), blip2.IMAGE_TOKEN)
    ids = torch.hstack([before, token_ids])
    return type(self).forward(self, input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=images)


def asked_and_answered(self, encoder_token_ids, encoder_padding_mask, decoder_token_ids, decoder_padding_mask, images):
    before = torch.full((len(images), blip2.QUERIES), blip2.IMAGE_TOKEN)
    ids = torch.hstack([before, encoder_token_ids])
    return type(self).forward(
        self,
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=images,
        decoder_input_ids=decoder_token_ids,
    )


ADAPTERS = {adapter.__name__: adapter for adapter in (interleaved, encoded, image_first, seen_and_heard, read)}
"""By the function of ``hub_multimodal`` that makes the same inputs."""


def hold_multimodal(case: Any, folder: Path) -> Any:
    network = built(case, folder, ADAPTERS[case.inputs.__name__])
    source = preset(case.rules, folder)
    if case is multimodal.PALI_GEMMA_2:
        source = ModelSource(case.rules, lambda: multimodal.pali_gemma_backbone(network.config))
    inputs, _ = case.inputs(source.build(), np.random.default_rng(0))
    return verify(f"keras_hub/{case.rules}", folder, source, network, inputs=arrays(inputs))


def hold_qwen(family: Any) -> Any:
    network = checkpoints.transformers_model(f"{family.stem}ForCausalLM", f"{family.stem}TextConfig", family.text)
    checkpoints.fill_randomly(network)
    config = {**network.config.to_dict(), "tie_word_embeddings": network.config.tie_word_embeddings}
    module = {"qwen3_5": convert_qwen3_5, "qwen3_5_moe": convert_qwen3_5_moe}[family.rules]
    backbone = getattr(keras_hub.models, f"{family.stem}Backbone")
    source = ModelSource(family.rules, lambda: backbone(**module.convert_backbone_config(config)))
    state = network.state_dict()
    return verify(f"keras_hub/{family.rules}", state, source, network, inputs=inputs_of(source.build()))


def hold_resnet_vd(architecture: str, patch: pytest.MonkeyPatch) -> Any:
    patch.setitem(resnet_vd.BLOCKS, architecture, (2, 1, 1, 1))
    network = checkpoints.timm_model(architecture, layers=[2, 1, 1, 1])
    checkpoints.fill_randomly(network)
    checkpoints.settle(network, 33)
    network.forward = network.forward_features
    source = ModelSource(architecture, lambda: resnet_vd.backbone(architecture))
    return verify(resnet_vd.RULES, network.state_dict(), source, network, inputs=["float32[1,3,32,32]"])


def hold_mobilenetv5(folder: Path, patch: pytest.MonkeyPatch, like_keras_hub: bool) -> Any:
    """An eighth of its width, with keras_hub's padding and GELU or with timm's."""
    whole = convert_mobilenetv5.MODEL_CONFIGS[mobilenetv5.ARCHITECTURE]
    filters = [[n // mobilenetv5.NARROWER for n in stage] for stage in whole["backbone"]["stackwise_num_filters"]]
    narrow = {**whole, "backbone": {**whole["backbone"], "stackwise_num_filters": filters}}
    patch.setitem(convert_mobilenetv5.MODEL_CONFIGS, mobilenetv5.ARCHITECTURE, narrow)
    padding = {"pad_type": "same"} if like_keras_hub else {}
    network = checkpoints.timm_model(mobilenetv5.ARCHITECTURE, channel_multiplier=1 / mobilenetv5.NARROWER, **padding)
    if like_keras_hub:
        mobilenetv5.use_exact_gelu(network)
    checkpoints.fill_randomly(network)
    checkpoints.save_timm(network, mobilenetv5.ARCHITECTURE, folder)
    network.forward = network.forward_features
    source = preset("mobilenetv5", folder)
    return verify("keras_hub/mobilenetv5", folder, source, network, inputs=["float32[1,3,32,32]"])


def hold_blip2(rules: str, folder: Path, like_keras_hub: bool = True) -> Any:
    """Either language model; with Flan-T5, keras_hub's GELU in the place of its own or not."""
    opt = rules == "blip2"
    case = Case(
        rules, "Blip2ForConditionalGeneration", "Blip2Config", {**blip2.IMAGES, "text_config": blip2.LANGUAGE[rules]}
    )
    network = built(case, folder, asked if opt else asked_and_answered)
    if not opt and like_keras_hub:
        blip2.use_exact_gelu(network)
    rng = np.random.default_rng(0)
    inputs = {}
    for kind in ("",) if opt else ("encoder_", "decoder_"):
        ids = rng.integers(4, blip2.IMAGE_TOKEN, (blip2.BATCH, blip2.LENGTH))
        inputs |= {f"{kind}token_ids": ids, f"{kind}padding_mask": np.ones_like(ids)}
    inputs["images"] = rng.normal(size=(blip2.BATCH, 16, 16, 3)).astype("float32")
    return verify(f"keras_hub/{rules}", folder, preset(rules, folder), network, inputs=arrays(inputs))


def hold_gpt_oss(folder: Path, **published: Any) -> Any:
    return hold_transformers(
        Case("gpt_oss", "GptOssForCausalLM", "GptOssConfig", gpt_oss.SETTINGS, published=published), folder
    )


YARN = {"rope_scaling": {"factor": 32.0}}
"""As published configurations have it."""
NOT_CALLED = {r"decoder_block_\d/ffw_(?:gating|gating_2|linear)": "the Keras model does not call it"}
NOT_TRACED: dict[str, dict[str, str]] = {
    "pali_gemma": {"token_embedding": OTHER_PLACES},
    "t5gemma2": {
        r"(?:en|de)coder_token_embedding": "no PyTorch module holds encoder.embed_tokens.weight",
        r"(?:en|de)coder_eoi_embedding": "no PyTorch module holds encoder.embed_tokens.eoi_embedding",
    },
    "gemma4": {
        **NOT_CALLED,
        "token_embedding": OTHER_PLACES,
        r"rpe(?:#2)?": OTHER_PLACES,
        r"image_encoder/encoder_block_\d/.*/dense": "the Keras model does not call it",
        "vision_output_encoder": "vision_tower holds other modules too: none of its values is this",
        "per_layer_projection_norm": "PyTorch calls per_layer_projection_norm 1 times, Keras 4 times",
    },
    "gemma4-experts": {**NOT_CALLED, r"decoder_block_\d/moe_router": OTHER_PLACES},
    "gpt_oss": {r"transformer_layer_\d/sparse_moe_block/experts": OTHER_PLACES},
    "qwen3_5": {r"transformer_layer_\d/linear_attn/norm": OTHER_PLACES},
    "qwen3_5_moe": {r"transformer_layer_\d/(?:linear_attn/norm|sparse_moe_block/experts)": OTHER_PLACES},
    "blip2_flan_t5": {
        "encoder/ln": "PyTorch calls vision_model.post_layernorm 2 times, Keras 1 times",
        "token_embedding": "PyTorch calls language_model.shared 1 times, Keras 2 times",
        r"transformer_(?:en|de)coder_layer_0/self_attention": OTHER_PLACES,
    },
    "blip2": {
        "encoder/ln": "PyTorch calls vision_model.post_layernorm 2 times, Keras 1 times",
        "embeddings_layer/position_embedding": (
            "PyTorch calls language_model.model.decoder.embed_positions 1 times, Keras 2 times"
        ),
        "embeddings_layer/token_embedding": OTHER_PLACES,
    },
}
"""Layers of equal pairs that are listed as not traced, as regular expressions, each with the reason that is given."""
MULTIMODAL = {str(case): case for case in (*multimodal.MULTIMODAL, multimodal.PALI_GEMMA_2)}
EQUAL = {
    **{name: lambda folder, patch, case=case: hold_multimodal(case, folder) for name, case in MULTIMODAL.items()},
    **{str(family): lambda folder, patch, family=family: hold_qwen(family) for family in qwen3_5.FAMILIES},
    "gpt_oss": lambda folder, patch: hold_gpt_oss(folder, **YARN),
    "blip2": lambda folder, patch: hold_blip2("blip2", folder),
    "blip2_flan_t5": lambda folder, patch: hold_blip2("blip2_flan_t5", folder),
    "resnet_vd": lambda folder, patch: hold_resnet_vd("resnet18d", patch),
    "resnet_vd-bottleneck": lambda folder, patch: hold_resnet_vd("resnet26d", patch),
    "mobilenetv5": lambda folder, patch: hold_mobilenetv5(folder, patch, like_keras_hub=True),
}


@pytest.mark.parametrize("name", EQUAL)
def test_no_alarm_where_outputs_are_equal(name, tmp_path, monkeypatch):
    found = EQUAL[name](tmp_path, monkeypatch)
    assert_equal(found, NOT_TRACED.get(name) or NOT_TRACED.get(name.partition("-")[0], {}))


def test_verify_reaches_what_the_notes_of_mobilenetv5_say(tmp_path, monkeypatch):
    found = hold_mobilenetv5(tmp_path, monkeypatch, like_keras_hub=False)
    assert found.verdict == "differ"
    assert found.weights.equal
    told = (found.finding, *found.further)
    assert [(entry.layer, entry.cause) for entry in told[:2]] == [
        ("conv_stem/conv2d", "padding"),
        ("conv_stem/activation", "gelu tanh against erf"),
    ]
    assert {entry.cause for entry in told} == {"padding", "gelu tanh against erf"}
    assert all(entry.proved and entry.blame == "model" for entry in told)
    assert re.search(r"GELU by tanh and pads \(1, 1\) at stride 2", load_rules("keras_hub/mobilenetv5").about.notes)


def test_verify_reaches_what_the_notes_of_blip2_with_flan_t5_say(tmp_path):
    found = hold_blip2("blip2_flan_t5", tmp_path, like_keras_hub=False)
    assert found.verdict == "differ"
    assert found.weights.equal
    told = (found.finding, *found.further)
    assert [(entry.layer, entry.cause) for entry in told] == [
        (f"transformer_{part}coder_layer_{number}/input_projector", "gelu tanh against erf")
        for part in ("en", "de")
        for number in range(2)
    ]
    assert all(entry.proved and entry.blame == "model" for entry in told)
    assert "Flan-T5 approximates GELU by tanh" in load_rules("keras_hub/blip2_flan_t5").about.notes


def test_verify_reaches_what_the_notes_of_gpt_oss_say(tmp_path):
    found = hold_gpt_oss(tmp_path)
    assert found.verdict == "differ"
    assert found.weights.equal
    told = (found.finding, *found.further)
    assert [entry.layer for entry in told if entry.cause == "rotary positions"] == [
        f"transformer_layer_{number}/self_attention/attention_output" for number in range(2)
    ]
    assert told[0].proved and told[0].blame == "model"
    assert "under rope_scaling" in load_rules("keras_hub/gpt_oss").about.notes


ROPE = {"rope_type": "default", "rope_theta": 500.0}
LLAMA_3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def neighbours_turned(q, k, cos, sin, unsqueeze_dim=1):
    """Rotary positions of each channel with the next, where Llama turns the first half with the second."""
    cos, sin = (x.chunk(2, -1)[0].repeat_interleave(2, -1).unsqueeze(unsqueeze_dim) for x in (cos, sin))
    return tuple(x * cos + torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2) * sin for x in (q, k))


@pytest.mark.parametrize(
    ("published", "turn", "told"),
    [
        ({"rope_parameters": ROPE}, None, "with frequencies of base 10000 in "),
        ({"rope_scaling": LLAMA_3}, None, "with frequencies of base 10000 in "),
        (None, neighbours_turned, "with neighbours turned in "),
        ({"rope_parameters": ROPE}, neighbours_turned, "with frequencies of base 10000 and neighbours turned in "),
    ],
    ids=["base", "scaling", "neighbours", "both"],
)
def test_other_rotary_positions_are_told_inside_of_an_attention_layer(published, turn, told, tmp_path, monkeypatch):
    if turn is not None:
        monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", turn)
    found = hold_transformers(replace(TRANSFORMERS["llama3"], published=published), tmp_path)
    assert found.verdict == "differ"
    assert found.weights.equal
    entries = (found.finding, *found.further)
    assert [(entry.layer, entry.cause) for entry in entries] == [
        (f"transformer_layer_{number}/self_attention/attention_output", "rotary positions") for number in range(2)
    ]
    assert all(entry.proved and entry.text.startswith(told) for entry in entries)
    assert all("/self_attention/llama_rotary_embedding" in entry.text for entry in entries)


NOT_HELD = {
    "gemma4_assistant": "test_verify_pairs_gemma4_assistant.py holds it",
    "gemma3n": "test_verify_pairs_gemma3n.py holds it",
    "sam3": "test_verify_pairs_multimodal.py holds it",
    "embedding_gemma": "test_verify_pairs_embedding_gemma.py holds it",
}
"""Rule files without a pair here, and why."""


def test_every_rule_file_has_a_pair():
    transformers = {TRANSFORMERS[name].rules for name in EQUAL_TRANSFORMERS}
    timm = {TIMM[name].rules for name in EQUAL_TIMM}
    noted = {(TIMM.get(pair.case) or TRANSFORMERS[pair.case]).rules for pair in NOTED}
    held = transformers | timm | noted | {name.partition("-")[0] for name in EQUAL}
    files = {path.stem for path in (ROOT / "rules/keras_hub").glob("*.toml")}
    assert files - held == set(NOT_HELD)
