"""What a layout captures has to stand in ``to``: the two directions of a recurrent layer; ``order`` of one tensor."""

from __future__ import annotations

import numpy as np
import pytest

import remap
from remap.inventory.inventory import Inventory, Layer, Variable

ENTRIES = {"gru_cell/kernel": (5, 12), "gru_cell/recurrent_kernel": (4, 12), "gru_cell/bias": (2, 12)}
NAMES = [f"rnn/{side}_g/{entry}" for side in ("forward", "backward") for entry in ENTRIES]
TARGET = Inventory(
    "demo",
    tuple(Variable(name, name, ENTRIES[name.partition("_g/")[2]], "float32", 0) for name in NAMES),
    (Layer("rnn", "Bidirectional", "rnn", "rnn"),),
    "functional",
    "3.15.1",
    ("rnn",),
)
SHAPES = {"weight_ih": (12, 5), "weight_hh": (12, 4), "bias_ih": (12,), "bias_hh": (12,)}
STATE = {f"rnn.{name}_l0{side}": np.ones(shape, "f4") for name, shape in SHAPES.items() for side in ("", "_reverse")}
RIGHT = """format = 1
[tables.directions]
"" = "forward"
_reverse = "backward"
[move.gru]
'rnn' = 'rnn/{directions[reverse]}_g'
"""


@pytest.fixture
def rules(tmp_path):
    def write(text: str):
        (tmp_path / "rules.toml").write_text(text)
        return tmp_path / "rules.toml"

    return write


@pytest.mark.parametrize("target", [TARGET, None])
def test_the_error_says_how_both_directions_are_named(rules, target):
    path = rules("format = 1\n[move.gru]\n'rnn' = 'rnn'\n")
    with pytest.raises(remap.RemapError) as caught:
        remap.plan(path, STATE, target=target)
    fix = caught.value.problems[0].fix
    assert "rnn/{directions[reverse]}_NAME" in fix
    assert "rules.toml:3" in fix
    assert '"" = "forward", _reverse = "backward"' in fix
    assert len(remap.plan(rules(RIGHT), STATE, target=TARGET).assignments) == 6


def test_a_module_of_one_direction_gets_no_such_advice(rules):
    one = {key: value for key, value in STATE.items() if not key.endswith("_reverse")}
    with pytest.raises(remap.RemapError) as caught:
        remap.plan(rules("format = 1\n[move.gru]\n'rnn' = 'rnx'\n"), one, target=TARGET)
    assert not any("directions" in problem.fix for problem in caught.value.problems)


def test_other_captures_of_a_layout_are_named(rules):
    text = "format = 1\n[move.gru]\n'rnn' = 'rnn'\n"
    deep = {f"rnn.{name}_l{n}": np.ones(shape, "f4") for name, shape in SHAPES.items() for n in (0, 1)}
    with pytest.raises(remap.RemapError) as caught:
        remap.plan(rules(text), deep)
    assert "to = 'rnn{layer}'" in caught.value.problems[0].fix


def test_order_permutes_a_single_tensor(rules):
    text = "format = 1\n[move.tensor]\n'w' = { to = 'k', axes = '(g h) i -> i g h', sizes = { g = 3 }, ORDER }\n"
    weight = np.arange(12, dtype="f4").reshape(6, 2)
    path = rules(text.replace("ORDER", "order = { g = [1, 0, 2] }"))
    (assignment,) = remap.plan(path, {"w": weight}).assignments
    assert np.array_equal(assignment.value.array(), weight.reshape(3, 2, 2)[[1, 0, 2]].transpose(2, 0, 1))


def test_order_below_a_layout_is_refused(rules):
    with pytest.raises(remap.RemapError, match="belong to a rule without a layout"):
        remap.load_rules(rules("format = 1\n[move.dense]\n'w' = { to = 'k', order = { g = [1, 0] } }\n"))
