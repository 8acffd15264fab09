"""Pruned layers: the stored weight times its mask, by the operation ``product`` or a function of the user's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import remap
from remap.errors import RuleError

DENSE = "format = 1\n[move.dense]\n'fc' = 'head'\n"
FROM = "from = { first = '(?P<name>.*)_orig', second = '(?P<name>.*)_mask' }\nto = '{name}'\n"
PRODUCT = f'{DENSE}[[derive]]\nop = "product"\n{FROM}'
CALL = f'{DENSE}[[derive]]\ncall = "pruning_of_mine:masked"\n{FROM}'
WEIGHT = np.arange(6, dtype="f4").reshape(2, 3) + 1
MASK = np.array([[1, 0, 1], [0, 1, 1]], "f4")


@pytest.fixture
def files(tmp_path, monkeypatch):
    save_file({"fc.weight_orig": WEIGHT, "fc.weight_mask": MASK}, tmp_path / "net.safetensors")
    (tmp_path / "pruning_of_mine.py").write_text("def masked(weight, mask):\n    return weight * mask\n")
    monkeypatch.syspath_prepend(tmp_path)

    def make(text: str):
        (tmp_path / "rules.toml").write_text(text)
        return tmp_path / "rules.toml", tmp_path / "net.safetensors"

    return make


@pytest.mark.parametrize("text", [PRODUCT, CALL])
def test_a_pruned_weight_is_multiplied_by_its_mask(files, text):
    (assignment,) = remap.plan(*files(text), allow_code=text is CALL).assignments
    assert assignment.name == "head/kernel"
    assert np.array_equal(assignment.value.array(), (WEIGHT * MASK).T)


def test_product_in_a_layout_stretches_axes_of_size_1(tmp_path):
    rules = (
        'format = 1\n[move.scaled]\n"" = "layer"\n[layouts.scaled]\nkernel = { from = ["w", "s"], op = "product" }\n'
    )
    (tmp_path / "rules.toml").write_text(rules)
    state = {"w": WEIGHT, "s": np.array([[2], [3]], "f4")}
    (assignment,) = remap.plan(tmp_path / "rules.toml", state).assignments
    assert np.array_equal(assignment.value.array(), WEIGHT * np.array([[2], [3]], "f4"))
    with pytest.raises(remap.RemapError, match="do not fit each other"):
        remap.plan(tmp_path / "rules.toml", {**state, "s": np.ones((4, 3), "f4")})


def test_the_error_offers_the_product_where_both_tensors_are_there(files):
    with pytest.raises(remap.RemapError) as caught:
        remap.plan(*files("format = 1\n[move.dense]\n'other' = { to = 'head', optional = true }\n"))
    assert all('op = "product"' in problem.fix for problem in caught.value.problems)


def test_a_function_runs_where_it_is_allowed_alone(files, remap_command):
    rules, checkpoint = files(CALL)
    for command in (("lint",), ("explain",), ("apply", "--dry-run")):
        name = ("fc.weight_mask",) if command == ("explain",) else ()
        refused = remap_command(*command, rules, checkpoint, *name)
        assert refused.code != 0
        assert "--allow-code" in refused.out + refused.err
        assert (refused.out + refused.err).count("runs code of its own") == 1
        allowed = remap_command(*command, rules, checkpoint, *name, "--allow-code")
        assert allowed.code == 0, allowed.out + allowed.err
    told = remap_command("lint", rules, checkpoint, "--allow-code", "--format", "json")
    assert json.loads(told.out) == []


def test_derive_takes_an_operation_or_a_function(tmp_path):
    for text in (f"{DENSE}[[derive]]\n{FROM}", CALL + 'op = "product"\n'):
        (tmp_path / "rules.toml").write_text(text)
        with pytest.raises(RuleError, match="by an operation or by a function"):
            remap.load_rules(tmp_path / "rules.toml")
