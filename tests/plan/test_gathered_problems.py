"""What does not fit is told once a rule, the cause first: a prefix that all names miss, a rule that was to write."""

from __future__ import annotations

import numpy as np
import pytest

import remap
from remap.errors import ProblemCode
from remap.inventory.inventory import Inventory, Layer, Variable

RULES = """format = 1
[move.dense]
'conv<n>' = 'conv_{n}'
'fc' = 'head'
"""


def target(*layers: str) -> Inventory:
    variables = tuple(
        Variable(f"{layer}/kernel", f"{layer}/kernel", (3, 2), "float32", index) for index, layer in enumerate(layers)
    )
    kinds = tuple(Layer(layer, "Dense", layer, layer) for layer in layers)
    return Inventory("demo", variables, kinds, "functional", "3.15.1", tuple(layers))


LAYERS = target("conv_1", "conv_2", "conv_3", "head")


@pytest.fixture
def problems(tmp_path):
    def make(text: str, *modules: str, model: Inventory | None = LAYERS):
        path = tmp_path / "rules.toml"
        path.write_text(text)
        with pytest.raises(remap.RemapError) as caught:
            remap.plan(path, {f"{module}.weight": np.ones((2, 3), "f4") for module in modules}, target=model)
        return caught.value.problems

    return make


MODULES = ("conv1", "conv2", "conv3", "fc")


def test_a_prefix_of_all_keys_is_told_once_with_what_mends_it(problems, tmp_path):
    (problem,) = problems(RULES, *(f"backbone.{module}" for module in MODULES))
    assert problem.code is ProblemCode.PREFIX
    assert problem.place.line == 3
    assert "4 source tensors begin with 'backbone.'" in problem.found
    assert r"[source] strip = ['backbone\.']" in problem.fix
    assert r"'backbone\.conv<n>'" in problem.fix
    (tmp_path / "rules.toml").write_text(RULES + "[source]\nstrip = ['backbone\\.']\n")
    state = {f"backbone.{module}.weight": np.ones((2, 3), "f4") for module in MODULES}
    assert len(remap.plan(tmp_path / "rules.toml", state, target=LAYERS).assignments) == 4


def test_what_a_prefix_does_not_explain_is_told_behind_it(problems):
    first, second = problems(RULES, *(f"net.body.{module}" for module in MODULES), "other")
    assert first.code is ProblemCode.PREFIX
    assert "'net.body.'" in first.found
    assert (second.code, second.where) == (ProblemCode.UNCLAIMED, "other.weight")


def test_a_prefix_that_the_rules_alone_have_is_told_once(problems):
    (problem,) = problems(RULES.replace("'conv<n>'", r"'model\.conv<n>'").replace("'fc'", r"'model\.fc'"), *MODULES)
    assert problem.code is ProblemCode.PREFIX
    assert "2 rules expect 'model.'" in problem.found
    assert "'conv<n>'" in problem.fix


def test_a_prefix_that_does_not_help_is_not_blamed(problems):
    told = problems(RULES, "x.a", "x.b", "fc")
    assert all(problem.code is not ProblemCode.PREFIX for problem in told)


def test_problems_of_one_rule_are_one_with_their_count(problems):
    told = problems(RULES.replace("conv_{n}", "konv_{n}"), *MODULES)
    assert [problem.code for problem in told] == [ProblemCode.NO_VARIABLE, ProblemCode.MISSING]
    assert told[0].where.endswith("rules.toml:3 (conv{1..3} kernel, 3 in all)")
    assert told[0].found == "konv_{1..3}/kernel, 3 in all"
    assert {"konv_1/kernel", "konv_2/kernel", "konv_3/kernel"} <= set(told[0].names)


def test_a_missing_variable_names_the_rule_that_was_meant_to_write_it(problems):
    told = problems(RULES.replace("'fc'", "'fcc'"), *MODULES)
    assert [problem.code for problem in told] == [ProblemCode.IDLE_RULE, ProblemCode.UNCLAIMED, ProblemCode.MISSING]
    assert "rules.toml:4" in told[2].fix
    misnamed = problems(RULES.replace("'head'", "'heed'"), *MODULES)
    assert "rules.toml:4" in misnamed[-1].fix


def test_keys_that_the_same_rules_claim_are_one_problem(problems):
    told = problems(RULES + "'conv.' = 'x'\n", *MODULES, model=None)
    assert [problem.where for problem in told] == ["conv{1..3}.weight (3)"]
    assert "rules.toml:3" in told[0].fix and "rules.toml:5" in told[0].fix
