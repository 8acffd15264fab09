"""``apply --report`` writes a page, ``apply --torch`` audits the settings of both models."""

from __future__ import annotations

import json

import pytest


def test_report_page_tells_the_conversion(fixtures, tmp_path, remap_command):
    page = tmp_path / "page.html"
    checkpoint = fixtures / "resnet/thin_resnet50.pt"
    ran = remap_command("apply", "resnet", checkpoint, "-o", tmp_path / "out.h5", "--report", page)
    assert ran.code == 0, ran.err
    text = page.read_text("utf-8")
    assert "written; not checked in a model" in text
    assert "conv2_block1_1_conv/kernel" in text
    assert "https://" not in text.replace("http://www.w3.org", "")


@pytest.mark.full
def test_torch_model_is_audited_against_the_keras_model(fixtures, tmp_path, remap_command):
    ran = remap_command(
        "apply",
        fixtures / "conv_bn/conv_bn.toml",
        fixtures / "conv_bn/conv_bn.safetensors",
        "-o",
        tmp_path / "o.h5",
        "--model",
        f"{fixtures}/conv_bn/keras_model.py:build",
        "--model-arg",
        "padding=same",
        "--json",
        "--torch",
        f"{fixtures}/conv_bn/torch_model.py:build",
    )
    assert ran.code == 0, ran.err
    audit = [(entry["layer"], entry["setting"]) for entry in json.loads(ran.out)["audit"] if not entry["harmless"]]
    assert audit == [("conv", "padding")]


def test_audit_needs_a_keras_model(fixtures, tmp_path, remap_command):
    ran = remap_command(
        "apply",
        fixtures / "conv_bn/conv_bn.toml",
        fixtures / "conv_bn/conv_bn.safetensors",
        "-o",
        tmp_path / "o.h5",
        "--torch",
        f"{fixtures}/conv_bn/torch_model.py:build",
    )
    assert ran.code == 2
    assert "--model" in ran.err


def test_page_that_cannot_be_written_is_refused_before_the_work(fixtures, tmp_path, remap_command):
    out = tmp_path / "out.h5"
    work = ("apply", "resnet", fixtures / "resnet" / "thin_resnet50.pt", "-o", out, "--report")
    for page, found in ((tmp_path / "none" / "page.html", "folder does not exist"), (tmp_path, "is a folder")):
        ran = remap_command(*work, page)
        assert ran.code == 2
        assert found in ran.err
        assert not out.exists()
