"""Hints that are right: another role, the other direction and a fill beside a bias are never offered."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import remap
from remap.inventory.inventory import Inventory, Layer, Variable
from remap.inventory.match import VariableNames
from remap.lint.lint import lint


def target(*names: str, address: str = "", shape: tuple[int, ...] = (3, 2)) -> Inventory:
    variables = tuple(
        Variable(name, address or name, shape if name.endswith("kernel") else (2,), "float32", 0, 0.0) for name in names
    )
    return Inventory("demo", variables, (Layer("l", "Layer", "l", "l"),), "functional", "3.15.1", ("l",))


@pytest.fixture
def rules(tmp_path):
    def write(text: str):
        (tmp_path / "rules.toml").write_text(f"format = 1\n{text}")
        return tmp_path / "rules.toml"

    return write


def problems(path, state, model):
    with pytest.raises(remap.RemapError) as caught:
        remap.plan(path, state, target=model)
    return caught.value.problems


def test_a_beta_is_offered_a_beta_alone():
    names = VariableNames(target("bn1/gamma", "bn1/bias", "bn12/beta"))
    assert names.close_to("bn1/beta") == ["bn12/beta"]
    assert VariableNames(target("bn1/gamma", "bn1/bias")).close_to("bn1/beta") == []
    assert VariableNames(target("stem/conv/kernel")).close_to("conv/kernle") == ["stem/conv/kernel"]


def test_one_direction_is_not_offered_for_the_other():
    names = VariableNames(target("rnn/forward_lstm/lstm_cell/kernel", "rnn2/backward_lstm/lstm_cell/kernel"))
    assert names.close_to("rnn/backward_lstm/lstm_cell/kernel") == ["rnn2/backward_lstm/lstm_cell/kernel"]
    assert names.close_to("rnn/lstm/lstm_cell/kernel") != []


def test_no_fill_is_offered_where_a_bias_is_unclaimed(rules):
    path = rules("[move.dense]\n'fc' = 'fc'\n")
    state = {"fc.weight": np.ones((2, 3), "f4"), "fc.bias_term": np.ones(2, "f4")}
    fix = problems(path, state, target("fc/kernel", "fc/bias"))[-1].fix
    assert "'fc.bias_term'" in fix
    assert "fill =" not in fix
    assert (
        'fill = ["bias"]' in problems(path, {"fc.weight": state["fc.weight"]}, target("fc/kernel", "fc/bias"))[-1].fix
    )


def test_a_missing_beta_is_offered_no_weight(rules):
    path = rules("[move.dense]\n'fc' = 'fc'\n")
    state = {"fc.weight": np.ones((2, 3), "f4"), "bn.weight": np.ones(2, "f4")}
    fix = next(p for p in problems(path, state, target("fc/kernel", "bn/beta")) if p.where == "bn/beta").fix
    assert "bn.weight" not in fix
    fix = next(p for p in problems(path, state, target("fc/kernel", "bn/gamma")) if p.where == "bn/gamma").fix
    assert "bn.weight" in fix


def test_a_claimed_tensor_whose_layer_the_model_lacks_is_explained_by_that(rules, tmp_path, remap_command):
    path = rules("[move.dense]\n'fc' = 'heed'\n")
    save_file({"fc.weight": np.ones((2, 3), "f4")}, tmp_path / "net.safetensors")
    target("head/kernel").save(tmp_path / "x.target.json")
    ran = remap_command(
        "explain", path, tmp_path / "net.safetensors", "fc.weight", "--target", tmp_path / "x.target.json"
    )
    assert "look-around" not in ran.out
    assert "rules.toml:3 claims it" in ran.out
    assert "the model has no such variable" in ran.out


def codes(found):
    return [finding.code for finding in found]


def test_a_recurrent_layer_of_one_direction_lints_clean(rules):
    assert lint(rules("[move.lstm]\n'rnn' = 'rnn'\n")) == []


def test_a_captured_character_is_meant(rules):
    assert lint(rules("[move.dense]\n'block(?P<c>.)' = 'block{c}'\n")) == []
    assert codes(lint(rules("[move.dense]\n'block.0' = 'block'\n"))) == ["R106"]


@pytest.mark.parametrize(("address", "expected"), [("", []), ("dense[0]/kernel", ["R303"])])
def test_numbers_that_the_user_gave_do_not_drift(rules, tmp_path, address, expected):
    save_file({"fc.weight": np.ones((2, 3), "f4")}, tmp_path / "net.safetensors")
    target("dense_1/kernel", address=address).save(tmp_path / "x.target.json")
    path = rules("[move.dense]\n'fc' = 'dense_1'\n")
    found = lint(path, tmp_path / "net.safetensors", target=tmp_path / "x.target.json")
    assert codes(found) == expected


def test_json_has_the_column_of_what_is_meant(rules, remap_command):
    path = rules("[move.dense]\n'fc' = { optional = true, to = 'dense_1' }\n")
    (entry,) = json.loads(remap_command("lint", path, "--format", "json").out)
    assert (entry["line"], entry["column"]) == (3, path.read_text().splitlines()[2].index("dense_1") + 1)


def test_a_missing_variable_names_the_rule_that_failed_to_write_it(rules):
    path = rules("[move.conv2d]\n'fc' = 'fc'\n")
    misfit, missing = problems(path, {"fc.weight": np.ones((2, 3), "f4")}, target("fc/kernel"))
    assert misfit.what == "shapes do not fit the expression"
    assert "the layout is for such tensors" in misfit.fix
    assert missing.fix == f"mend {path}:3, which was probably meant to write it"
