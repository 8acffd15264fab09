"""Both sides of the account close, or every reason is told at once and nothing is written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import remap
from remap.inventory.inventory import Inventory, Layer, Variable

RULES = """
format = 1
[[rename]]
match = 'conv<n>'
to = 'conv_{n}'
layout = "conv2d"
[[rename]]
match = 'fc'
to = 'head'
layout = "dense"
"""


def inventory(**shapes: tuple[int, ...]) -> Inventory:
    """A target with the given variables; ``conv_1__kernel`` stands for ``conv_1/kernel``."""
    layers: dict[str, int] = {}
    variables = []
    for name, shape in shapes.items():
        path = name.replace("__", "/")
        layer = path.rpartition("/")[0]
        index = layers.setdefault(layer, len(layers))
        initial = 0.0 if path.endswith("bias") else None
        variables.append(
            Variable(
                path,
                path,
                shape,
                "float32",
                index,
                initial,
                places={
                    "legacy_h5": ((layer, path),),
                    "weights_h5": ((f"layers/{layer}/vars/{'01'[path.endswith('bias')]}",),),
                },
            )
        )
    kinds = [Layer(layer, "Layer", layer, layer) for layer in layers]
    return Inventory("demo", tuple(variables), tuple(kinds), "functional", "3.15.1", tuple(layers))


def tensors() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {"conv1.weight": (4, 3, 3, 3), "conv1.bias": (4,), "fc.weight": (5, 4), "fc.bias": (5,)}
    return {name: generator.standard_normal(shape).astype("f4") for name, shape in shapes.items()}


TARGET = inventory(conv_1__kernel=(3, 3, 3, 4), conv_1__bias=(4,), head__kernel=(4, 5), head__bias=(5,))


@pytest.fixture
def plan(tmp_path):
    def make(rules: str = RULES, state=None, target: Inventory | None = TARGET, **options):
        path = tmp_path / "rules.toml"
        path.write_text(rules)
        return remap.plan(path, tensors() if state is None else state, target=target, **options)

    return make


def problems(plan, *arguments, **options):
    with pytest.raises(remap.RemapError) as caught:
        plan(*arguments, **options)
    return {problem.what: problem for problem in reversed(caught.value.problems)}


def test_what_closes_is_planned_in_the_order_of_the_target(plan):
    found = plan()
    assert [a.name for a in found.assignments] == ["conv_1/kernel", "conv_1/bias", "head/kernel", "head/bias"]
    assert np.array_equal(found.assignments[0].value.array(), tensors()["conv1.weight"].transpose(2, 3, 1, 0))


def test_unclaimed_source_tensor_shows_the_closest_claimed_one(plan):
    state = {**tensors(), "convx.weight": np.ones((4, 3, 3, 3), "f4")}
    problem = problems(plan, RULES, state)["no rule claims a source tensor"]
    assert problem.where == "convx.weight"
    assert "conv1.weight" in problem.fix


def test_wrong_target_name_shows_the_closest_variable(plan):
    problem = problems(plan, RULES.replace("'head'", "'heed'"))["the model has no such variable"]
    assert "heed/kernel" in problem.found
    assert "head/kernel" in problem.fix
    assert "rules.toml:7" in problem.where


def test_missing_bias_names_the_fill_that_mends_it(plan):
    state = tensors()
    del state["conv1.bias"]
    problem = problems(plan, RULES, state)["no rule writes a variable of the model"]
    assert problem.where == "conv_1/bias"
    assert 'fill = ["bias"]' in problem.fix
    mended = plan(RULES.replace('layout = "conv2d"', 'layout = "conv2d"\nfill = ["bias"]'), state)
    bias = next(a for a in mended.assignments if a.name == "conv_1/bias")
    assert (bias.kind, bias.value.array().tolist()) == ("filled", [0.0] * 4)


def test_shape_that_fits_another_layout_names_it(plan):
    state = {**tensors(), "conv1.weight": np.ones((6, 1, 3, 3), "f4"), "conv1.bias": np.ones(6, "f4")}
    target = inventory(conv_1__kernel=(3, 3, 3, 2), conv_1__bias=(6,), head__kernel=(4, 5), head__bias=(5,))
    problem = problems(plan, RULES, state, target)["shapes differ"]
    assert "(3, 3, 1, 6) from conv1.weight (6, 1, 3, 3)" in problem.found
    assert problem.expected == "(3, 3, 3, 2)"
    assert "depthwise_conv2d" in problem.fix


def test_rule_that_matches_nothing_is_an_error_unless_optional(plan):
    rule = "[[rename]]\nmatch = 'fcc'\nto = 'x'\nlayout = \"dense\"\n"
    problem = problems(plan, RULES + rule)["a rule matches nothing"]
    assert problem.where.endswith("rules.toml:11")
    assert problem.found == "closest: fc"
    assert plan(RULES + rule + "optional = true\n")


def test_two_rules_for_one_tensor_names_both_lines(plan):
    rule = "[[rename]]\nmatch = 'f.'\nto = 'head'\nlayout = \"dense\"\n"
    problem = problems(plan, RULES + rule)["several rules claim one source tensor"]
    assert problem.where == "fc.bias" or problem.where == "fc.weight"
    assert "rules.toml:7" in problem.found
    assert "rules.toml:11" in problem.found


def test_one_variable_written_twice_names_both_sources(plan):
    rules = RULES.replace("'conv_{n}'", "'conv_1'")
    state = {**tensors(), "conv2.weight": np.ones((4, 3, 3, 3), "f4"), "conv2.bias": np.ones(4, "f4")}
    problem = problems(plan, rules, state)["a variable is written twice"]
    assert "conv1" in problem.found
    assert "conv2" in problem.found


def test_patterns_match_whole_names_only(plan):
    state = {**tensors(), "conv1x.weight": np.ones((4, 3, 3, 3), "f4"), "xfc.weight": np.ones((5, 4), "f4")}
    with pytest.raises(remap.RemapError) as caught:
        plan(RULES, state)
    assert {p.where for p in caught.value.problems} == {"conv1x.weight", "xfc.weight"}


def test_ignored_kept_and_filled_close_the_account_with_their_reasons(plan):
    rules = RULES + (
        "[[ignore]]\nmatch = 'extra'\nreason = \"not in Keras\"\n"
        "[[keep]]\nmatch = 'new/bias'\nreason = \"starts at zero\"\n"
        '[[fill]]\nmatch = \'new/kernel\'\nvalue = "ones"\nreason = "neutral"\n'
    )
    target = inventory(
        conv_1__kernel=(3, 3, 3, 4),
        conv_1__bias=(4,),
        head__kernel=(4, 5),
        head__bias=(5,),
        new__kernel=(2, 2),
        new__bias=(2,),
    )
    found = plan(rules, {**tensors(), "extra": np.ones(1, "f4")}, target)
    settled = {a.name: (a.kind, a.reason, a.value.array().tolist()) for a in found.assignments[4:]}
    assert settled == {
        "new/kernel": ("filled", "neutral", [[1.0, 1.0], [1.0, 1.0]]),
        "new/bias": ("kept", "starts at zero", [0.0, 0.0]),
    }
    assert [(i.name, i.reason) for i in found.ignored] == [("extra", "not in Keras")]


def test_kept_variable_with_a_random_start_needs_the_model(plan):
    rules = RULES + "[[keep]]\nmatch = 'new/kernel'\nreason = \"trained later\"\n"
    target = inventory(
        conv_1__kernel=(3, 3, 3, 4), conv_1__bias=(4,), head__kernel=(4, 5), head__bias=(5,), new__kernel=(2, 2)
    )
    problem = problems(plan, rules, None, target)["a kept variable does not start with a constant"]
    assert "--model" in problem.fix


def test_all_problems_are_told_at_once_and_counted(plan):
    state = {**tensors(), "a.weight": np.ones(3, "f4"), "conv1.weight": np.ones((4, 3, 5, 5), "f4")}
    with pytest.raises(remap.RemapError) as caught:
        plan(RULES.replace("'head'", "'heed'"), state)
    text = str(caught.value)
    for part in ("no rule claims", "shapes differ", "no such variable", "no rule writes"):
        assert part in text
    assert "problems in all" in text


def test_repeated_blocks_are_one_problem(plan):
    state = {**tensors(), **{f"block{i}.norm.weight": np.full(3, i, "f4") for i in range(12)}}
    problem = problems(plan, RULES, state)["no rule claims a source tensor"]
    assert problem.where == "block{0..11}.norm.weight (12)"


def test_nothing_is_written_and_the_exit_code_says_so(tmp_path, remap_command):
    rules, checkpoint, out = tmp_path / "rules.toml", tmp_path / "c.safetensors", tmp_path / "out.h5"
    rules.write_text(RULES)
    save_file({**tensors(), "extra": np.ones(3, "f4")}, checkpoint)
    ran = remap_command("apply", rules, checkpoint, "-o", out)
    assert ran.code == 6
    assert "no rule claims a source tensor" in ran.err
    assert "Traceback" not in ran.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.safetensors", "rules.toml"]


def test_dry_run_plans_and_writes_nothing(tmp_path, remap_command):
    rules, checkpoint = tmp_path / "rules.toml", tmp_path / "c.safetensors"
    rules.write_text(RULES)
    save_file(tensors(), checkpoint)
    ran = remap_command("apply", rules, checkpoint, "--dry-run", "--json")
    assert ran.code == 0, ran.err
    data = json.loads(ran.out)
    assert data["written"] is None
    assert data["account"]["used"] == 4
    assert {v["name"]: v["shape"] for v in data["variables"]}["conv_1/kernel"] == [3, 3, 3, 4]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.safetensors", "rules.toml"]
