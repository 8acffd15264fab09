"""``remap inspect``: names of checkpoints, of models and of saved inventories, as a tree or a line each."""

from __future__ import annotations

import json

import numpy as np
import pytest
from repository import FIXTURES
from safetensors.numpy import save_file

SHIPPED = FIXTURES.parent / "remap/inventory/shipped/inceptionv3.json.gz"


@pytest.fixture
def blocks(tmp_path):
    """A checkpoint of thirty blocks."""
    arrays = {f"blocks.{i}.fc.weight": np.full((2, i + 1), i, "f4") for i in range(30)}
    save_file(arrays, tmp_path / "blocks.safetensors")
    return tmp_path / "blocks.safetensors"


def test_flat_elides_nothing(blocks, remap_command):
    lines = remap_command("inspect", blocks, "--flat").out.splitlines()[1:]
    assert [line.split("  ")[:3] for line in lines] == sorted(
        ([f"blocks.{i}.fc.weight", "float32", f"[2, {i + 1}]"] for i in range(30)),
        key=lambda words: [line.split("  ")[0] for line in lines].index(words[0]),
    )
    assert len(lines) == 30
    assert "28 shapes" not in remap_command("inspect", blocks, "--flat").out
    assert "30 shapes" in remap_command("inspect", blocks).out


def test_flat_shows_what_the_pattern_matches(blocks, remap_command):
    shown = remap_command("inspect", blocks, r"blocks\.1<n>?\.fc\.weight", "--flat")
    names = [line.split("  ")[0] for line in shown.out.splitlines()[1:]]
    assert sorted(names) == sorted(f"blocks.{i}.fc.weight" for i in (1, *range(10, 20)))
    assert "11 of 30 tensors" in shown.out


def test_an_inventory_shows_its_variables(remap_command):
    shown = remap_command("inspect", SHIPPED)
    assert shown.code == 0
    assert "378 variables" in shown.out
    assert "Conv2D" in shown.out
    lines = remap_command("inspect", SHIPPED, "--flat").out.splitlines()
    assert len(lines) == 379
    assert any(line.split("  ")[4:] == ["Conv2D", "conv2d[3]/kernel"] for line in lines)


def test_variables_are_chosen_by_rank(remap_command):
    shown = json.loads(remap_command("inspect", SHIPPED, r"conv2d\[9<n>\]/kernel", "--json").out)
    assert [each["address"] for each in shown["variables"]] == [f"conv2d[{n}]/kernel" for n in (90, 91, 92, 93)]
    assert {each["class"] for each in shown["variables"]} == {"Conv2D"}
    assert shown["count"] == 4


@pytest.mark.full
def test_a_model_shows_its_variables(remap_command):
    model = f"{FIXTURES}/conv_bn/keras_model.py:build"
    shown = json.loads(remap_command("inspect", "--model", model, "bn/.*", "--json").out)
    assert [(each["name"], each["shape"]) for each in shown["variables"]] == [
        ("bn/gamma", [8]),
        ("bn/beta", [8]),
        ("bn/moving_mean", [8]),
        ("bn/moving_variance", [8]),
    ]


def test_no_such_variable_gives_the_first_names(remap_command):
    ran = remap_command("inspect", SHIPPED, "kernel")
    assert ran.code == 2
    assert "the pattern matches no variable" in ran.err
    assert "the first names are" in ran.err


def test_a_file_and_a_model_are_too_many(blocks, remap_command):
    ran = remap_command("inspect", blocks, "x", "--model", "keras.applications:ResNet50")
    assert ran.code == 2
    assert "leave out --model" in ran.err


def test_nothing_to_look_at(remap_command):
    ran = remap_command("inspect")
    assert ran.code == 2
    assert "remap inspect FILE" in ran.err


def test_a_json_file_that_is_no_inventory_is_no_checkpoint(tmp_path, remap_command):
    (tmp_path / "x.json").write_text('{"layers": []}')
    ran = remap_command("inspect", tmp_path / "x.json")
    assert ran.code == 3
    assert "index has no usable weight_map" in ran.err
