"""``auto`` over every rule file for keras_hub: names and shapes alone tell which one it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras_hub
import pytest
from hub_members import Member, lay_down
from hub_multimodal_members import MULTIMODAL_MEMBERS
from hub_published import MEMBERS
from hub_transformers import CASES

import remap
from remap.inventory.inventory import Inventory
from remap.planning.make import make_plan
from remap.planning.recognise import Candidate, choose
from remap.rules.shipped import shipped_names
from remap.sides.keras.keras_model import inventory_of

pytestmark = pytest.mark.architectures
REAL_SIZES = {
    "gemma": {"hidden_size": 2048, "intermediate_size": 16384},
    "smollm3": {
        "num_hidden_layers": 36,
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
    },
    "roberta": {"vocab_size": 50265, "type_vocab_size": 1},
    "xlm_roberta": {"vocab_size": 250002, "type_vocab_size": 1},
}
"""Of families that nothing but sizes tells from others."""
TINY = [
    Member(
        case.rules,
        str(case),
        case.model,
        case.config,
        tuple({**case.settings, **REAL_SIZES.get(case.rules, {})}.items()),
        case.respelled,
    )
    for case in CASES
]
RESNET_VD = [Member("resnet_vd", name) for name in ("resnet18d", "resnet50d", "resnet200d")]
ALL = [*TINY, *RESNET_VD, *MEMBERS, *MULTIMODAL_MEMBERS]
ALSO_OF_APPLICATIONS = {
    "densenet": "densenet",
    "efficientnet": "efficientnet_timm",
    "mobilenet": "mobilenet_v3_timm",
    "resnet": "resnet",
    "resnet_v2": "resnet_v2",
    "vgg": "vgg",
}
"""Checkpoints that fill a model of keras.applications too, which comes first where no model is given."""


def chosen(folder: Path, target: Inventory | None = None) -> tuple[Candidate, tuple[str, ...]]:
    return choose(lambda rules: remap.open_checkpoint(folder, strip=rules.source.strip), target)


def target_of(folder: Path) -> Inventory:
    return inventory_of(lambda: keras_hub.models.Backbone.from_preset(str(folder), load_weights=False))


@pytest.mark.parametrize("member", ALL, ids=str)
def test_the_file_of_the_family_is_chosen(member, tmp_path):
    lay_down(member, tmp_path)
    best, (first, *others) = chosen(tmp_path)
    wanted = f"keras_hub/{member.rules}"
    assert first.startswith(f"recognised as '{best.name}'")
    if best.model:
        assert best.name == ALSO_OF_APPLICATIONS[member.rules]
        assert best.model.startswith("keras.applications:")
        assert others[-1].startswith(f"second: '{wanted}'")
    elif best.name != wanted:
        assert any(line.startswith(f"'{wanted}' ") and "it would write the same" in line for line in others)


def test_no_file_is_left_out():
    by_hand = {"keras_hub/gemma4_assistant", "keras_hub/embedding_gemma"}  # laid out and recognised in their own tests
    assert {f"keras_hub/{member.rules}" for member in ALL} | by_hand == {
        name for name in shipped_names() if name.startswith("keras_hub/")
    }


@pytest.mark.parametrize("rules", ALSO_OF_APPLICATIONS)
def test_the_model_decides_where_two_libraries_have_the_network(rules, tmp_path):
    lay_down(next(member for member in MEMBERS if member.rules == rules), tmp_path)
    best, lines = chosen(tmp_path, target_of(tmp_path))
    assert best.name == f"keras_hub/{rules}"
    assert "to the last variable" in lines[0]


@pytest.mark.parametrize(("case", "same"), [("mistral", "llama3"), ("qwen", "llama3"), ("qwen", "mistral")])
def test_files_that_are_said_to_write_the_same_do(case, same, tmp_path):
    lay_down(next(member for member in TINY if member.name == case), tmp_path)
    target = target_of(tmp_path)
    best, lines = chosen(tmp_path, target)
    names = {best.name, *(line.split("'")[1] for line in lines[1:] if "it would write the same" in line)}
    assert {f"keras_hub/{case}", f"keras_hub/{same}"} <= names
    plans = []
    for name in (case, same):
        rules = remap.load_rules(f"keras_hub/{name}")
        plans.append(make_plan(rules, remap.open_checkpoint(tmp_path, strip=rules.source.strip), target))
    ours, theirs = ([(a.name, a.value.recipe, a.sources, a.dtype) for a in plan.assignments] for plan in plans)
    assert ours == theirs


def test_unknown_sizes_of_a_shared_name_are_not_guessed(tmp_path):
    member = next(member for member in TINY if member.name == "roberta")
    lay_down(replace(member, settings=tuple({**dict(member.settings), "vocab_size": 32005}.items())), tmp_path)
    with pytest.raises(remap.RemapError, match=r"xlm_roberta: .* another family.*; keras_hub/roberta: .* another"):
        chosen(tmp_path)
