"""Attention: fused and separate projections, EinsumDense, a whole encoder layer."""

import keras
import numpy as np
import pytest
from keras import layers
from layer_parity import Case, check_equal, planned, sequential, write_rules
from torch import nn

from remap.errors import PlanError
from remap.opening.memory import from_state_dict
from remap.planning.make import make_plan
from remap.rules.load import load_rules

WIDTH, HEADS = 12, 3

ATTENTION = """
[[rename]]
match = 'attention'
to = 'attention'
layout = "{layout}"
"""


class SelfAttention(nn.Module):
    def __init__(self, **settings):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, **settings)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class CrossAttention(nn.Module):
    """Keys and values of other sizes than the queries, cut from one input."""

    def __init__(self, key, value):
        super().__init__()
        self.key, self.value = key, value
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, kdim=key, vdim=value, batch_first=True)

    def forward(self, x):
        key, value = x[..., : self.key], x[..., -self.value :]
        return self.attention(x[..., :WIDTH], key, value, need_weights=False)[0]


def keras_self_attention(**settings):
    def build():
        x = keras.Input((6, WIDTH))
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name="attention", **settings)
        return keras.Model(x, attention(x, x))

    return build


def keras_cross_attention(key, value):
    def build():
        x = keras.Input((6, 20))
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name="attention")
        return keras.Model(x, attention(x[..., :WIDTH], value=x[..., -value:], key=x[..., :key]))

    return build


CASES = [
    Case(
        "self attention",
        SelfAttention,
        keras_self_attention(),
        ATTENTION.format(layout="multi_head_attention"),
        (6, WIDTH),
    ),
    Case(
        "self attention, bias=False",
        lambda: SelfAttention(bias=False),
        keras_self_attention(use_bias=False),
        ATTENTION.format(layout="multi_head_attention"),
        (6, WIDTH),
    ),
    *(
        Case(
            f"keys of {key}, values of {value}",
            lambda key=key, value=value: CrossAttention(key, value),
            keras_cross_attention(key, value),
            ATTENTION.format(layout="multi_head_attention_unfused"),
            (6, 20),
        )
        for key, value in ((7, 5), (WIDTH, 5), (8, 8))
    ),
]

DENSE = "[[rename]]\nmatch = '0'\nto = 'layer'\nlayout = '{layout}'\n"


def einsum(name, module, layer, layout, input, run):
    return Case(
        name,
        lambda: nn.Sequential(module()),
        lambda: sequential(input, layer()),
        DENSE.format(layout=layout),
        input,
        run=run,
    )


CASES += [
    einsum(
        "EinsumDense abc,cde->abde",
        lambda: nn.Linear(6, 12),
        lambda: layers.EinsumDense("abc,cde->abde", (None, 3, 4), bias_axes="de", name="layer"),
        "einsum_dense_to_heads",
        (5, 6),
        lambda module, x: module(x).unflatten(-1, (3, 4)),
    ),
    einsum(
        "EinsumDense abcd,cde->abe",
        lambda: nn.Linear(12, 6),
        lambda: layers.EinsumDense("abcd,cde->abe", (None, 6), bias_axes="e", name="layer"),
        "einsum_dense_from_heads",
        (5, 3, 4),
        lambda module, x: module(x.flatten(-2)),
    ),
    einsum(
        "EinsumDense btd,ndh->btnh",
        lambda: nn.Linear(6, 12, bias=False),
        lambda: layers.EinsumDense("btd,ndh->btnh", (None, 3, 4), name="layer"),
        "einsum_dense_by_head",
        (5, 6),
        lambda module, x: module(x).unflatten(-1, (3, 4)),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_layer_gives_equal_outputs(case, tmp_path):
    check_equal(case, tmp_path)


ENCODER = r"""
[[rename]]
match = 'layers\.<i>\.self_attn'
to = 'block{i}_attention'
layout = "multi_head_attention"

[[rename]]
match = 'layers\.<i>\.linear<n>'
to = 'block{i}_dense{n}'
layout = "dense"

[[rename]]
match = 'layers\.<i>\.norm<n>'
to = 'block{i}_norm{n}'
layout = "layer_normalization"
"""


def keras_encoder(blocks, norm_first):
    def norm(name):
        return layers.LayerNormalization(epsilon=1e-5, name=name)

    x = start = keras.Input((6, WIDTH))
    for i in range(blocks):
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"block{i}_attention")
        inner = layers.Dense(20, activation="gelu", name=f"block{i}_dense1")
        outer = layers.Dense(WIDTH, name=f"block{i}_dense2")
        first, second = norm(f"block{i}_norm1"), norm(f"block{i}_norm2")
        if norm_first:
            y = first(x)
            x = x + attention(y, y)
            x = x + outer(inner(second(x)))
        else:
            x = first(x + attention(x, x))
            x = second(x + outer(inner(x)))
    return keras.Model(start, x)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("blocks", [1, 3])
def test_a_transformer_encoder(blocks, norm_first, tmp_path):
    def module():
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 20, activation="gelu", batch_first=True, norm_first=norm_first)
        return nn.TransformerEncoder(layer, blocks, enable_nested_tensor=False)

    check_equal(Case("encoder", module, lambda: keras_encoder(blocks, norm_first), ENCODER, (6, WIDTH)), tmp_path)


def test_heads_come_from_the_rule_where_no_model_is_known(tmp_path):
    module = SelfAttention()
    rules = ATTENTION.format(layout="multi_head_attention")
    source = from_state_dict(module.state_dict())
    with pytest.raises(PlanError, match="size of h, d in") as failure:
        make_plan(load_rules(write_rules(tmp_path, rules)), source)
    assert "sizes = {" in str(failure.value)
    plan = make_plan(load_rules(write_rules(tmp_path, rules + "sizes = { h = 3 }\n")), source)
    query = next(a for a in plan.assignments if a.name == "attention/query/kernel")
    expected = module.attention.in_proj_weight[:WIDTH].detach().numpy().T.reshape(WIDTH, 3, 4)
    np.testing.assert_array_equal(query.value.array(), expected)


def test_heads_can_be_a_parameter(tmp_path):
    rules = "[params]\nheads = { default = 3, help = 'attention heads' }\n"
    rules += ATTENTION.format(layout="multi_head_attention") + "sizes = { h = 'heads' }\n"
    file = load_rules(write_rules(tmp_path, rules))
    source = from_state_dict(SelfAttention().state_dict())
    for given, shape in (({}, (WIDTH, 3, 4)), ({"heads": 2}, (WIDTH, 2, 6))):
        plan = make_plan(file, source, params=given)
        assert plan.assignments[0].shape == shape


def test_rows_of_bias_that_the_layout_does_not_know_are_not_dropped(tmp_path):
    """add_bias_kv appends a row to keys and values; Keras has no such thing."""
    case = Case("", lambda: SelfAttention(add_bias_kv=True), keras_self_attention(), CASES[0].rules, (6, WIDTH))
    with pytest.raises(PlanError, match="no rule claims a source tensor") as failure:
        planned(case.torch(), case.keras(), write_rules(tmp_path, case.rules))
    assert "attention.bias_k" in str(failure.value)


def test_square_projections_are_counted_as_what_no_shape_verifies(tmp_path):
    plan = planned(SelfAttention(), keras_self_attention()(), write_rules(tmp_path, CASES[0].rules))
    kernels = [a for a in plan.assignments if a.name.endswith("kernel")]
    assert len(kernels) == 4
    assert all(a.blind for a in kernels)
