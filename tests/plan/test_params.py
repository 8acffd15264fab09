"""Parameters that names on either side tell, layers that a target may lack, lists of numbers."""

from __future__ import annotations

import numpy as np
import pytest

import remap
from remap.inventory.inventory import Inventory, Layer, Variable

RULES = """
format = 1
[params.name]
target = '(?P<name>\\w+)_conv/kernel'
help = "Name of the model"
[params.epsilon]
default = 1e-5
keys = { 'deep\\..*' = 1e-3, 'deeper\\..*' = 2.0 }
[batchnorm]
source_epsilon = "epsilon"
on_mismatch = "fold"
[[rename]]
match = 'conv'
to = '{name}_conv'
layout = "conv2d"
[[rename]]
match = 'bn'
to = '{name}_bn'
layout = "batch_normalization"
[[rename]]
match = 'fc'
to = '{name}_head'
layout = "dense"
absent = "headless models have none"
[[ignore]]
match = 'deep.*'
reason = "a mark"
optional = true
"""
SHAPES = {
    "conv/kernel": (3, 3, 2, 4),
    "bn/gamma": (4,),
    "bn/beta": (4,),
    "bn/moving_mean": (4,),
    "bn/moving_variance": (4,),
    "head/kernel": (4, 5),
    "head/bias": (5,),
}


def target(name="net", head=True, **more):
    """A model called ``name`` of a convolution, a BatchNorm with epsilon 1e-3 and, perhaps, a head."""
    paths = {f"{name}_{path}": shape for path, shape in SHAPES.items() if head or not path.startswith("head")} | more
    names = list(dict.fromkeys(path.rpartition("/")[0] for path in paths))
    layers = [Layer(each, "Layer", each, each, {"epsilon": 1e-3} if each.endswith("_bn") else {}) for each in names]
    variables = [
        Variable(path, path, shape, "float32", names.index(path.rpartition("/")[0])) for path, shape in paths.items()
    ]
    return Inventory("demo", tuple(variables), tuple(layers), "functional", "3.15.1", tuple(names))


def state(**more):
    generator = np.random.default_rng(0)
    shapes = {"conv.weight": (4, 2, 3, 3), "fc.weight": (5, 4), "fc.bias": (5,)}
    shapes |= {f"bn.{tensor}": (4,) for tensor in ("weight", "bias", "running_mean", "running_var")}
    return {name: generator.uniform(0.5, 1.5, shape).astype("f4") for name, shape in shapes.items()} | more


@pytest.fixture
def plan(tmp_path):
    def make(rules=RULES, source=None, inventory=None, **options):
        path = tmp_path / "rules.toml"
        path.write_text(rules)
        return remap.plan(path, source or state(), target=inventory or target(), **options)

    return make


def problem_of(plan, *arguments, **options):
    with pytest.raises(remap.RemapError) as caught:
        plan(*arguments, **options)
    return caught.value.problems[0]


@pytest.mark.parametrize("name", ["net", "convnext_tiny"])
def test_target_tells_the_name_that_its_layers_bear(plan, name):
    found = plan(inventory=target(name))
    assert found.params["name"] == name
    assert [a.name for a in found.assignments] == [f"{name}_{path}" for path in SHAPES]


def test_target_that_tells_two_values_is_an_error_and_set_decides(plan):
    inventory = target(**{"other_conv/kernel": (3, 3, 2, 4)})
    problem = problem_of(plan, inventory=inventory)
    assert "'name'" in problem.what
    assert problem.found == "net, other"
    assert "other_conv/kernel" in problem_of(plan, inventory=inventory, params={"name": "net"}).where


@pytest.mark.parametrize(("more", "epsilon"), [({}, 1e-5), ({"deep.mark": np.zeros(1, "f4")}, 1e-3)])
def test_keys_tell_the_epsilon(plan, more, epsilon):
    found = plan(source=state(**more))
    gamma = next(a for a in found.assignments if a.name == "net_bn/gamma")
    variance, weight = (state()[f"bn.{tensor}"].astype("f8") for tensor in ("running_var", "weight"))
    expected = weight * np.sqrt((variance + 1e-3) / (variance + epsilon))
    assert np.array_equal(gamma.value.array(), expected.astype("f4"))
    assert len(found.epsilons) == (epsilon != 1e-3)


def test_given_value_wins_over_the_keys(plan):
    found = plan(source=state(**{"deep.mark": np.zeros(1, "f4")}), params={"epsilon": 1e-2})
    assert [mismatch.source for mismatch in found.epsilons] == [1e-2]


def test_layer_that_the_target_may_lack_is_left_behind_and_told(plan):
    found = plan(inventory=target(head=False))
    assert [(i.name, i.reason) for i in found.ignored] == [
        ("fc.weight", "headless models have none"),
        ("fc.bias", "headless models have none"),
    ]
    assert len(found.assignments) == 5


def test_layer_that_is_half_there_is_an_error_all_the_same(plan):
    problem = problem_of(plan, inventory=target(head=False, **{"net_head/kernel": (4, 5)}))
    assert (problem.what, problem.found) == ("the model has no such variable", "net_head/bias")


def test_list_of_numbers_fills_a_vector(plan):
    rules = RULES + "[[fill]]\nmatch = 'scale/mean'\nvalue = [0.5, 0.25]\nreason = \"of the data\"\n"
    found = plan(rules, inventory=target(**{"scale/mean": (2,)}))
    mean = found.assignments[-1]
    assert (mean.kind, mean.value.array().tolist(), mean.reason) == ("filled", [0.5, 0.25], "of the data")
    problem = problem_of(plan, rules, inventory=target(**{"scale/mean": (3,)}))
    assert (problem.found, problem.expected) == ("2 numbers", "shape (3,)")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('source_epsilon = "epsilon"', 'source_epsilon = "epsilom"', "no parameter is called 'epsilom'"),
        ("(?P<name>\\w+)_conv/kernel", "\\w+_conv/kernel", "'target' of a parameter captures nothing"),
        ("'deep\\..*' = 1e-3", "'deep(' = 1e-3", "invalid regular expression"),
    ],
)
def test_mistakes_in_parameters_are_told(plan, old, new, what):
    assert old in RULES
    assert problem_of(plan, RULES.replace(old, new)).what == what
