"""Every rule file for keras_hub: no alarm where outputs are equal, and the finding of its notes where not."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from verify_hub import OTHER_PLACES, SEVERAL, assert_equal, checkpoints, hold_transformers, preset

from remap import verify
from remap.rules.load import load_rules

from hub_timm import CASES as TIMM_CASES  # isort: skip
from hub_transformers import CASES  # isort: skip

pytestmark = pytest.mark.architectures

TRANSFORMERS = {str(case): case for case in CASES}
TIMM = {str(case): case for case in TIMM_CASES}
SMALL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "resnet18": ({"layers": [1] * 4}, {"stackwise_num_blocks": [1] * 4}),
    "resnetv2_50": ({"layers": [2] * 4}, {"stackwise_num_blocks": [2] * 4}),
    "densenet121": ({"block_config": [2] * 4}, {"stackwise_num_repeats": [2] * 4}),
    "vgg11": ({"mlp_ratio": 0.01}, {}),
}
"""Arguments that make an architecture small, for timm and for keras_hub's backbone."""


def hold_timm(case: Any, size: int, folder: Path, **options: Any) -> Any:
    """A timm network without its head, its published folder, and keras_hub's backbone for it."""
    theirs, ours = SMALL.get(case.architecture, ({}, {}))
    network = checkpoints.timm_model(case.architecture, **theirs)
    checkpoints.fill_randomly(network)
    checkpoints.settle(network, size)
    checkpoints.save_timm(network, case.architecture, folder)
    network.forward = network.forward_features
    source, images = preset(case.rules, folder, **ours), f"float32[1,3,{size},{size}]"
    return verify(f"keras_hub/{case.rules}", folder, source, network, inputs=[images], **options)


NOT_TRACED: dict[str, dict[str, str]] = {
    "bart": {"token_embedding": "PyTorch does not call shared: its weights are used by another module or function"},
    "xlm_roberta": {"embeddings/position_embedding": "embeddings holds other modules too: none of its values is this"},
    "vit": {"vit_patching_and_embedding/position_embedding": SEVERAL},
    "dinov2-registers": {r"encoder/layers_\d/mlp/weights_in": OTHER_PLACES},
    "mixtral": {r"transformer_layer_\d/mixtral_sparse_moe_block\w*/experts": OTHER_PLACES},
    "qwen_moe": {r"transformer_layer_\d/qwen_sparse_moe_block\w*/experts": OTHER_PLACES},
    "qwen3_moe": {r"transformer_layer_\d/qwen3_sparse_moe_block\w*/experts": OTHER_PLACES},
    "swin_transformer": {r"stage_\d/blocks_\d/attn(?:/attention_qkv)?": SEVERAL},
}
"""Layers of equal pairs that are listed as not traced, as regular expressions, each with the reason that is given."""
EQUAL = [name for name, case in TRANSFORMERS.items() if case.apart is None]
EQUAL_TIMM = [
    *("resnet18", "resnetv2_50", "densenet121", "vgg11", "mobilenetv3_small_050", "efficientnet_b0", "efficientnet_es"),
    *("cspresnet50", "hgnetv2_b0"),
]


@pytest.mark.parametrize("name", EQUAL)
def test_no_alarm_where_outputs_are_equal(name, tmp_path):
    assert_equal(hold_transformers(TRANSFORMERS[name], tmp_path), NOT_TRACED.get(name, {}))


@pytest.mark.parametrize("name", EQUAL_TIMM)
def test_no_alarm_where_outputs_of_timm_are_equal(name, tmp_path):
    case = TIMM[name]
    assert_equal(hold_timm(case, 65 if name == "densenet121" else 33, tmp_path), {})


@dataclass(frozen=True)
class Noted:
    """What a file's notes say of a pair, and where verify reaches it.

    Args:
        case: Its name.
        layer: The first layer that differs, as a regular expression.
        cause: The cause that verify names, likewise.
        note: What the file's notes say of it, likewise.
        settings: Entries of the configuration that bring it about, where the case has others.
        verdict: What comes of it.
        float64: Whether it shows in double precision alone.
        size: Of a timm network's images.
    """

    case: str
    layer: str
    cause: str
    note: str
    settings: tuple[tuple[str, Any], ...] = ()
    verdict: str = "differ"
    float64: bool = False
    size: int = 32

    def __str__(self) -> str:
        return f"{self.case} {self.cause}"


NOTED = [
    Noted(
        "bert-headless",
        "transformer_layer_0/feedforward_intermediate_dense",
        "gelu tanh against erf",
        "GELU by its tanh approximation",
    ),
    Noted("roberta-types", "embeddings_layer_norm", "missing embedding", "no token types"),
    Noted("esm-absolute", "position_embedding", "position offset", "absolute positions from the number of the padding"),
    Noted(
        "qwen3-tied",
        "transformer_layer_0/self_attention/query_dense_layernorm",
        "epsilon",
        "queries and keys with an epsilon of 1e-5",
        (("rms_norm_eps", 1e-3),),
    ),
    Noted(
        "qwen3_moe",
        "transformer_layer_0/self_attention/query_dense_layernorm",
        "epsilon",
        "queries and keys with an epsilon of 1e-6",
        (("rms_norm_eps", 1e-3),),
    ),
    Noted(
        "vit",
        "vit_encoder/transformer_block_1/ln_1",
        "epsilon",
        "epsilon of 1e-6, whatever the configuration says",
        (("layer_norm_eps", 1e-12),),
        float64=True,
    ),
    Noted("densenet121", "conv1_conv", "padding", "its padding at even image sizes"),
    Noted("densenet121", "conv1_bn", "epsilon", "epsilon of 1.001e-5", verdict="nearly", float64=True, size=65),
    Noted("efficientnet_es", r"block\w+_dwconv2", "padding", "at even ones keras_hub pads on other sides"),
]


@pytest.mark.parametrize("noted", NOTED, ids=str)
def test_verify_reaches_what_the_notes_say(noted, tmp_path):
    case = TIMM.get(noted.case) or TRANSFORMERS[noted.case]
    if noted.case in TIMM:
        found = hold_timm(case, noted.size, tmp_path, float64=noted.float64)
    else:
        case = replace(case, settings={**case.settings, **dict(noted.settings)})
        found = hold_transformers(case, tmp_path, float64=noted.float64)
    finding = found.finding
    assert found.verdict == noted.verdict
    assert found.weights.equal
    assert re.fullmatch(f"(?:.*/)?{noted.layer}", finding.layer), finding.layer
    assert re.match(noted.cause, finding.cause), finding.text
    assert finding.proved
    assert finding.blame == "model"
    assert re.search(noted.note, load_rules(f"keras_hub/{case.rules}").about.notes)


def test_every_case_that_differs_is_noted():
    differing = {name for name, case in TRANSFORMERS.items() if case.apart is not None}
    assert differing <= {noted.case for noted in NOTED}
