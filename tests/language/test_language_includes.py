"""Files that take in others: prefixes, nesting, parts that may be absent."""

import numpy as np
import pytest
from language import arrays, plan_of, values_of

from remap.errors import PlanError, RuleError
from remap.inventory.inventory import Inventory, Layer, Variable

ENCODER = r"""
[params]
heads = 2
[tables.roles]
q = "query"
k = "key"
[layouts.projection]
kernel = { from = "weight", axes = "(h d) i -> i h d", sizes = { h = "heads" } }
[[derive]]
op = "weight_norm"
from = { g = '(?P<module>.*)\.weight_g', v = '(?P<module>.*)\.weight_v' }
to = '{module}.weight'
[[rename]]
match = 'blocks\.<i>\.(?P<role>[qk])'
to = 'block{i}/{roles[role]}'
layout = "projection"
[[rename]]
match = 'normed'
to = 'normed'
layout = "dense"
[[ignore]]
match = 'position_ids'
reason = "counted again by Keras"
[[fill]]
match = 'extra/scale'
value = "ones"
reason = "not in PyTorch"
"""

OUTER = r"""
include = [
  { file = "encoder.toml", prefix = 'text\.', to_prefix = "text/" },
  { file = "encoder.toml", prefix = 'tower\.', to_prefix = "tower/" },
]
[[rename]]
match = 'head'
to = 'head'
layout = "dense"
"""


def encoder_arrays(prefix):
    return arrays(
        **{
            f"{prefix}__blocks__0__q__weight": (4, 3),
            f"{prefix}__blocks__0__k__weight": (4, 3),
            f"{prefix}__normed__weight_g": (4, 1),
            f"{prefix}__normed__weight_v": (4, 3),
            f"{prefix}__position_ids": (7,),
        }
    )


def target_of(*prefixes, without=()):
    shapes = {
        "block0/query/kernel": (3, 2, 2),
        "block0/key/kernel": (3, 2, 2),
        "normed/kernel": (3, 4),
        "extra/scale": (5,),
    }
    variables = [
        Variable(f"{prefix}/{name}", f"{prefix}/{name}", shape, "float32", 0)
        for prefix in prefixes
        for name, shape in shapes.items()
        if f"{prefix}/{name}" not in without
    ]
    variables.append(Variable("head/kernel", "head/kernel", (3, 2), "float32", 0))
    return Inventory("test", tuple(variables), (Layer("l", "L", "l", "l"),), "functional", "3")


def test_a_file_is_included_twice_with_prefixes_in_front_of_all_its_rules(tmp_path):
    """Layouts, tables, parameters, derived tensors, ignores and fills of the included file come along."""
    (tmp_path / "encoder.toml").write_text("format = 1\n" + ENCODER)
    source = encoder_arrays("text") | encoder_arrays("tower") | arrays(head__weight=(2, 3))
    plan = plan_of(tmp_path, OUTER, source, target=target_of("text", "tower"))
    found = {a.name: a.value.array() for a in plan.assignments}
    for side in ("text", "tower"):
        query = source[f"{side}.blocks.0.q.weight"].reshape(2, 2, 3).transpose(2, 0, 1)
        np.testing.assert_array_equal(found[f"{side}/block0/query/kernel"], query)
        g, v = source[f"{side}.normed.weight_g"], source[f"{side}.normed.weight_v"].astype(np.float64)
        normed = (g * v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)
        np.testing.assert_array_equal(found[f"{side}/normed/kernel"], normed.T)
        np.testing.assert_array_equal(found[f"{side}/extra/scale"], np.ones(5, np.float32))
    np.testing.assert_array_equal(found["head/kernel"], source["head.weight"].T)
    assert {each.name for each in plan.ignored} == {"text.position_ids", "tower.position_ids"}
    assert all(a.place.path.name == "encoder.toml" for a in plan.assignments if a.name != "head/kernel")


def test_a_prefix_may_capture(tmp_path):
    """What it captures can stand in to_prefix, and derived tensors keep the prefix that was matched."""
    (tmp_path / "encoder.toml").write_text("format = 1\n" + ENCODER.partition("[[fill]]")[0])
    rules = "include = [{ file = 'encoder.toml', prefix = 'towers\\.<tower>\\.', to_prefix = 'tower{tower}/' }]\n"
    source = encoder_arrays("towers__0") | encoder_arrays("towers__1")
    found = values_of(tmp_path, rules, source)
    assert sorted(found) == sorted(
        f"tower{i}/{name}" for i in range(2) for name in ("block0/query/kernel", "block0/key/kernel", "normed/kernel")
    )


PARTLY = r"""
include = [{ file = "encoder.toml", prefix = 'text\.', to_prefix = "text/", absent = "it reads no text" }]
[[rename]]
match = 'head'
to = 'head'
layout = "dense"
"""


def partly(tmp_path, source, *targets, without=()):
    (tmp_path / "encoder.toml").write_text("format = 1\n" + ENCODER)
    source = source | arrays(head__weight=(2, 3))
    return plan_of(tmp_path, PARTLY, source, target=target_of(*targets, without=without))


def test_a_part_that_may_be_absent_may_be_so_on_both_sides(tmp_path):
    plan = partly(tmp_path, {})
    assert [a.name for a in plan.assignments] == ["head/kernel"]
    assert plan.ignored == ()
    plan = partly(tmp_path, encoder_arrays("text"), "text")
    assert len(plan.assignments) == 5


def test_a_part_that_the_target_lacks_is_left_behind_and_said(tmp_path):
    source = encoder_arrays("text")
    plan = partly(tmp_path, source)
    assert [a.name for a in plan.assignments] == ["head/kernel"]
    left = {each.name: each.reason for each in plan.ignored if each.name != "text.position_ids"}
    assert len(left) == 3
    assert set(left.values()) == {"it reads no text"}


def test_a_part_that_the_checkpoint_alone_lacks_leaves_variables_unfilled(tmp_path):
    with pytest.raises(PlanError, match="text/block0/query/kernel"):
        partly(tmp_path, {}, "text")


def test_a_part_that_is_there_is_held_to_all_of_its_rules(tmp_path):
    source = encoder_arrays("text")
    no_ids = {name: value for name, value in source.items() if name != "text.position_ids"}
    with pytest.raises(PlanError, match="matches nothing") as error:
        partly(tmp_path, no_ids, "text")
    assert "position_ids" in str(error.value)
    with pytest.raises(PlanError, match="text/block0/key"):
        partly(tmp_path, source, "text", without=["text/block0/key/kernel"])


def test_includes_nest(tmp_path):
    (tmp_path / "inner.toml").write_text("format = 1\n[[rename]]\nmatch = ''\nto = 'dense'\nlayout = 'dense'\n")
    (tmp_path / "middle.toml").write_text(
        "format = 1\ninclude = [{ file = 'inner.toml', prefix = 'fc\\.', to_prefix = 'b/' }]\n"
        "[[derive]]\nop = 'weight_norm'\nfrom = { g = 'n\\.weight_g', v = 'n\\.weight_v' }\nto = 'n.weight'\n"
        "[[rename]]\nmatch = 'n'\nto = 'n'\nlayout = 'dense'\n"
    )
    rules = "include = [{ file = 'middle.toml', prefix = 'model\\.', to_prefix = 'a/' }]\n"
    source = arrays(model__fc__weight=(4, 3), model__n__weight_g=(2, 1), model__n__weight_v=(2, 3))
    found = values_of(tmp_path, rules, source)
    assert sorted(found) == ["a/b/dense/kernel", "a/n/kernel"]
    np.testing.assert_array_equal(found["a/b/dense/kernel"], source["model.fc.weight"].T)


@pytest.mark.parametrize(
    ("include", "message"),
    [
        ("['rules.toml']", "the rule file includes itself"),
        ("['nowhere.toml']", "no such rule file to include"),
        ("[{ file = 'rules.toml', prefx = 'a' }]", "unknown key 'prefx'"),
    ],
)
def test_mistakes_in_include(include, message, tmp_path):
    with pytest.raises(RuleError, match=message):
        plan_of(tmp_path, f"include = {include}\n", arrays(w=(1,)))
