"""Every word of an expression, against plain numpy."""

import numpy as np
import pytest
from language import arrays, expect, plan_of, values_of

from remap.errors import PlanError, RuleError
from remap.report.account import blind_lines
from remap.rules.expression import expression_problems
from remap.rules.layouts import BUILTIN_PATH, builtin_layouts
from remap.rules.place import Place

LAYOUT = """
[layouts.own]
out = {expression}
[[rename]]
match = 'm'
to = 'layer'
layout = "own"
"""

A, B = arrays(a=(6, 4), b=(6, 4)).values()

EXPRESSIONS = [
    ("{ from = 'a' }", A),
    ("{ from = 'a', axes = 'o i -> i o' }", A.T),
    ("{ from = 'a', axes = '(h d) i -> i h d', sizes = { h = 3 } }", A.reshape(3, 2, 4).transpose(2, 0, 1)),
    ("{ from = 'a', axes = 'o i -> 1 o 1 i' }", A[None, :, None, :]),
    ("{ from = 'a', axes = 'o i -> (o i)' }", A.reshape(-1)),
    ("{ from = 'a', axes = 'o i -> (i o)' }", A.T.reshape(-1)),
    ("{ from = 'a', axes = 'o i -> o i', take = { o = 2 } }", A[2]),
    ("{ from = 'a', axes = 'o i -> o i', take = { o = -1 } }", A[-1]),
    ("{ from = 'a', axes = 'o i -> o i', take = { o = '2:' } }", A[2:]),
    ("{ from = 'a', axes = 'o i -> i o', take = { o = '1:5:2', i = '::-1' } }", A[1:5:2, ::-1].T),
    ("{ from = 'a', axes = '(q o) i -> q i o', sizes = { q = 3 }, take = { q = 1 } }", A[2:4].T),
    ("{ from = 'a', axes = 'o (q i) -> o (i q)', sizes = { q = 2 }, take = { q = 1 } }", A[:, 2:]),
    (
        "{ from = 'a', axes = '(gate u) i -> i (gate u)', order = { gate = [1, 0, 2] } }",
        A.reshape(3, 2, 4)[[1, 0, 2]].reshape(6, 4).T,
    ),
    ("{ from = 'a', axes = 'o i -> o i', flip = ['o'] }", A[::-1]),
    (
        "{ from = 'a', axes = '(h w) i -> (h w) i', sizes = { h = 2 }, flip = ['w', 'i'] }",
        A.reshape(2, 3, 4)[:, ::-1, ::-1].reshape(6, 4),
    ),
    (
        "{ from = 'a', axes = 'o i -> o i', take = { o = '1:4' }, order = { o = [2, 0, 1] }, flip = ['o'] }",
        A[1:4][[2, 0, 1]][::-1],
    ),
    ("{ from = 'a', scale = 0.5 }", A * np.float32(0.5)),
    ("{ from = 'a', add = 1.0 }", A + 1),
    ("{ from = 'a', scale = 2.0, add = 1.0 }", A * 2 + 1),
    ("{ from = ['a', 'b'], reduce = 'sum' }", A + B),
    ("{ from = ['a', 'b'], reduce = 'sum', axes = 'o i -> i o', scale = 2.0 }", (A + B).T * 2),
    ("{ from = ['a', 'b'] }", np.stack([A, B])),
    ("{ from = ['b', 'a'], axes = 's o i -> o s i' }", np.stack([B, A], 1)),
    ("{ from = ['a', 'b'], concat = 'o', axes = 'o i -> i o' }", np.concatenate([A, B]).T),
    ("{ from = ['a', 'b'], concat = 'i', axes = 'o i -> o i' }", np.concatenate([A, B], 1)),
    ("{ from = ['a', 'b'], concat = 'q', axes = '(q o) i -> q i o', sizes = { q = 2 } }", np.stack([A.T, B.T])),
    ("{ from = ['a', { tensor = 'b', axes = 'o i -> o i', take = { o = '::-1' } }], reduce = 'sum' }", A + B[::-1]),
    ("{ from = 'a', axes = 'o i -> r o i', repeat = ['r'], sizes = { r = 2 } }", np.stack([A, A])),
]


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS, ids=[text for text, _ in EXPRESSIONS])
def test_an_expression(expression, expected, tmp_path):
    source = {"m.a": A} | ({"m.b": B} if "'b'" in expression else {})
    found = values_of(tmp_path, LAYOUT.replace("{expression}", expression), source)
    expect(found, layer__out=np.ascontiguousarray(expected))


def test_position_and_token_type_tables_are_cut_and_added(tmp_path):
    """XLM-R: two rows of padding positions go, the one token type is added to every position."""
    rules = """
[layouts.positions]
"position_embedding/embeddings" = { reduce = "sum", from = [
  { tensor = 'position_embeddings\\.weight', axes = "row e -> row e", take = { row = "2:" } },
  { tensor = 'token_type_embeddings\\.weight', axes = "row e -> row e", take = { row = "0:1" } },
] }
[[rename]]
match = 'embeddings'
to = ''
layout = "positions"
"""
    source = arrays(embeddings__position_embeddings__weight=(7, 3), embeddings__token_type_embeddings__weight=(1, 3))
    positions, types = source.values()
    expect(values_of(tmp_path, rules, source), position_embedding__embeddings=positions[2:] + types[0])


def test_a_position_table_with_an_offset(tmp_path):
    rules = "[[rename]]\nmatch = 'positions'\nto = 'position/embeddings'\naxes = 'row e -> row e'\n"
    source = arrays(positions=(7, 3))
    expect(values_of(tmp_path, rules + "take = { row = '2:' }\n", source), position__embeddings=source["positions"][2:])


def test_experts_are_stacked_in_numeric_order_and_gate_and_up_joined(tmp_path):
    rules = r"""
[layouts.experts]
gate_up = { from = ['<e>\.gate', '<e>\.up'], stack = "e", concat = "o", axes = "e o i -> e i o" }
down = { from = '<e>\.down', stack = "e", axes = "e o i -> e i o" }
[[rename]]
match = 'layers\.<i>\.experts'
to = 'layer{i}'
layout = "experts"
"""
    names = [
        f"layers__{i}__experts__{e}__{part}" for i in range(2) for e in range(11) for part in ("gate", "up", "down")
    ]
    source = arrays(**dict.fromkeys(names, (4, 3)))
    shuffled = {name: source[name] for name in sorted(source)}
    found = values_of(tmp_path, rules, shuffled)

    def stacked(i, part):
        return np.stack([source[f"layers.{i}.experts.{e}.{part}"] for e in range(11)])

    for i in range(2):
        both = np.concatenate([stacked(i, "gate"), stacked(i, "up")], 1)
        np.testing.assert_array_equal(found[f"layer{i}/gate_up"], both.transpose(0, 2, 1))
        np.testing.assert_array_equal(found[f"layer{i}/down"], stacked(i, "down").transpose(0, 2, 1))
    del shuffled["layers.1.experts.4.up"]
    with pytest.raises(PlanError, match="a stack has gaps") as failure:
        values_of(tmp_path, rules, shuffled)
    assert "missing 4" in str(failure.value)


BLIND = [
    ("{ from = 'a', axes = 'o i -> i o' }", (4, 4), "axes of one size: i, o"),
    ("{ from = 'a', axes = 'o i -> i o' }", (4, 5), ""),
    ("{ from = 'a', axes = 'o i -> i o', verify = false }", (4, 4), ""),
    ("{ from = 'a', axes = '(q o) i -> q o i', sizes = { q = 2 }, take = { q = 0 } }", (6, 5), "(q o)"),
    ("{ from = 'a', axes = 'o i -> o i', take = { o = '1:' } }", (6, 5), "take of o"),
    ("{ from = 'a', axes = 'o i -> o i', flip = ['o'] }", (6, 5), "flip of o"),
    ("{ from = 'a', axes = 'o i -> o i', order = { o = [1, 0] } }", (2, 5), "order of o"),
    ("{ from = 'a', scale = 2.0 }", (6, 5), "arithmetic"),
    ("{ from = 'a', axes = 'o i 1 1 -> i o' }", (4, 5, 1, 1), ""),
    ("{ from = ['a', 'b'], reduce = 'sum' }", (6, 5), "sum of 2 tensors"),
    ("{ from = ['a', 'b'], concat = 'o', axes = 'o i -> o i' }", (6, 5), "joined tensors of one shape"),
    ("{ from = ['a', 'b'] }", (6, 5), "joined tensors of one shape"),
]


@pytest.mark.parametrize(("expression", "shape", "why"), BLIND, ids=[f"{text} {shape}" for text, shape, _ in BLIND])
def test_what_no_shape_can_verify_is_told(expression, shape, why, tmp_path):
    source = arrays(m__a=shape, m__b=shape) if "'b'" in expression else arrays(m__a=shape)
    blind = plan_of(tmp_path, LAYOUT.replace("{expression}", expression), source).assignments[0].blind
    assert why in blind
    assert bool(blind) == bool(why)


def test_vectors_of_one_layer_that_could_be_exchanged_are_told(tmp_path):
    rules = "[[rename]]\nmatch = 'm'\nto = 'norm'\nlayout = 'layer_normalization'\n"
    plan = plan_of(tmp_path, rules, arrays(m__weight=(5,), m__bias=(5,)))
    assert {a.entry: a.blind for a in plan.assignments} == {
        "gamma": "same shape as beta",
        "beta": "same shape as gamma",
    }


WRONG = [
    ("{ from = 'a', axes = 'o i -> i' }", "invalid axes pattern"),
    ("{ from = 'a', axes = 'o i -> i o x' }", "axis 'x' stands only on the right"),
    ("{ from = 'a', axes = '((o) i -> i o' }", "invalid axes pattern"),
    ("{ from = 'a', take = { o = 0 } }", "there must be 'axes'"),
    ("{ from = 'a', axes = 'o i -> i o', take = { x = 0 } }", "has no axis 'x'"),
    ("{ from = 'a', axes = 'o i -> i o', take = { o = 'a:' } }", "cannot take that of axis 'o'"),
    ("{ from = 'a', axes = 'o i -> i o', order = { o = [0, 2] } }", "is no permutation"),
    ("{ from = ['a', 'b'], concat = 'o', reduce = 'sum', axes = 'o i -> i o' }", "exclude each other"),
    ("{ from = 'a', reduce = 'sum' }", "needs a list of tensors"),
    ("{ from = 'a', stack = 'e' }", "'stack' names no capture"),
    ("{ from = 'a', op = 'wieght_norm' }", "unknown operation 'wieght_norm'"),
    ("{ from = 'a', op = 'weight_norm', options = { axis = 1 } }", "has no setting 'axis'"),
    ("{ from = 'a', op = 'weight_norm', call = 'my:own' }", "'op' and 'call' exclude each other"),
    ("{ from = ['a', 'b', 'c'], op = 'weight_norm' }", "has fewer inputs"),
    ("{ from = ['a', 'b'], op = 'weight_norm', reduce = 'sum' }", "'op' and 'reduce' exclude each other"),
    ("{ from = 'a<e>', call = 'my:own', stack = 'e' }", "'call' and 'stack' exclude each other"),
    ("{ from = ['a', { tensor = 'b', axes = 'o i -> i o' }], op = 'weight_norm' }", "'op' gets its tensors whole"),
    ("{ from = 'a', options = { dim = 1 } }", "there is no 'op'"),
    ("{ from = 'a', axes = 'o i -> i o', sizes = { h = 2 } }", "'sizes' names 'h'"),
    ("{ from = 'a', axes = 'o i -> i o', infer = { h = 'channels_before' } }", "'infer' names 'h'"),
    ("{ form = 'a' }", "unknown key 'form'"),
    ("{ axes = 'o i -> i o' }", "an expression has no source"),
]


@pytest.mark.parametrize(("expression", "message"), WRONG, ids=[text for text, _ in WRONG])
def test_a_mistake_in_an_expression_is_seen_in_the_rules_alone(expression, message, tmp_path):
    with pytest.raises(RuleError, match=message) as failure:
        plan_of(tmp_path, LAYOUT.replace("{expression}", expression), {"m.a": A})
    assert "rules.toml:" in str(failure.value)


UNFIT = [
    ("{ from = 'a', axes = 'o i h -> i o h' }", "describes 3 axes, the tensor has 2"),
    ("{ from = 'a', axes = '(h d) i -> h d i', sizes = { h = 4 } }", "axis of 6 does not split"),
    ("{ from = 'a', axes = '(h d) i -> h d i' }", "size of h, d"),
    ("{ from = 'a', axes = 'o i -> o i', take = { o = 6 } }", "has 6 entries, there is no 6"),
    ("{ from = 'a', axes = 'o i -> o i', take = { o = '6:' } }", "is empty"),
    ("{ from = 'a', axes = 'o i -> o i', order = { o = [1, 0] } }", "o=2, the axis is 6"),
    ("{ from = 'a', axes = 'o 1 -> o' }", "is 1, the axis is 4"),
]


@pytest.mark.parametrize(("expression", "message"), UNFIT, ids=[text for text, _ in UNFIT])
def test_what_does_not_fit_the_tensor_is_told_with_shape_and_pattern(expression, message, tmp_path):
    with pytest.raises(PlanError, match=message) as failure:
        plan_of(tmp_path, LAYOUT.replace("{expression}", expression), {"m.a": A})
    assert "layer/out" in str(failure.value)


def test_sizes_of_a_rule_name_axes_of_its_layout(tmp_path):
    rules = "[[rename]]\nmatch = 'm'\nto = 'd'\nlayout = 'dense_after_flatten'\nsizes = { c = 2, h = 3 }\n"
    with pytest.raises(RuleError, match="no axis or setting of the layout is called 'h'"):
        plan_of(tmp_path, rules, arrays(m__weight=(5, 6)))


def test_the_built_in_layouts_have_no_mistakes_and_say_what_they_join():
    """Each table stands below one line with the two classes, and passes the checks that a rule file's own does."""
    lines = BUILTIN_PATH.read_text("utf-8").splitlines()
    place = Place(BUILTIN_PATH, 1)
    for name, layout in builtin_layouts().items():
        comment = lines[lines.index(f"[{name}]") - 1]
        assert comment.startswith(("# torch.nn.", "# transformers.")), name
        assert " -> keras.layers." in comment, name
        for variable, expression in layout.items():
            assert not list(expression_problems(expression, place)), (name, variable)


def test_the_report_counts_what_no_shape_verifies(tmp_path):
    rules = "[[rename]]\nmatch = 'b<n>'\nto = 'b{n}'\nlayout = 'dense'\n"
    source = arrays(b0__weight=(4, 4), b1__weight=(4, 4), b2__weight=(4, 5))
    assert list(blind_lines(plan_of(tmp_path, rules, source))) == [
        "shape cannot check this: 2 variables (axes of one size)"
    ]
