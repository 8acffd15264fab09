"""What rules say beside expressions: parameters, tables, own functions, tied and split modules."""

import json

import numpy as np
import pytest
import safetensors.numpy
from language import arrays, expect, plan_of, values_of

import remap
from remap.errors import PlanError, RemapError, RuleError, UsageError
from remap.inventory.inventory import Inventory, Layer, Variable

# ---- parameters ------------------------------------------------------------------------------------------------------

HEADS = """
[params]
heads = { from = "config.json:model.num_heads", default = 2, help = "attention heads" }
[[rename]]
match = 'q'
to = 'query'
layout = "einsum_dense_to_heads"
sizes = { h = "heads" }
"""


def checkpoint_with(folder, config):
    source = arrays(q__weight=(12, 5), q__bias=(12,))
    safetensors.numpy.save_file(source, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder / "model.safetensors"


@pytest.mark.parametrize(
    ("config", "given", "heads"),
    [
        ({"model": {"num_heads": 3}}, {}, 3),
        ({"model": {"num_heads": 3}}, {"heads": 4}, 4),
        ({"other": 1}, {}, 2),
        (None, {}, 2),
    ],
    ids=["from config.json", "given wins", "default where the file lacks it", "default without the file"],
)
def test_a_parameter_is_read_from_a_file_beside_the_checkpoint(config, given, heads, tmp_path):
    path = checkpoint_with(tmp_path, config)
    plan = plan_of(tmp_path, HEADS, path, params=given)
    assert plan.params["heads"] == heads
    assert [a.shape for a in plan.assignments] == [(5, heads, 12 // heads), (heads, 12 // heads)]


def test_a_parameter_without_a_value_says_how_to_give_one(tmp_path):
    path = checkpoint_with(tmp_path, None)
    with pytest.raises(PlanError, match="the size of axis 'h' is not known") as failure:
        plan_of(tmp_path, HEADS.replace(" default = 2,", ""), path)
    assert "--set heads=NUMBER" in str(failure.value)


def test_a_file_of_parameters_that_is_no_json_is_an_error(tmp_path):
    path = checkpoint_with(tmp_path, {})
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(PlanError, match="cannot read the parameters"):
        plan_of(tmp_path, HEADS, path)


def test_an_unknown_parameter_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(UsageError, match="has no parameter 'head'") as failure:
        plan_of(tmp_path, HEADS, checkpoint_with(tmp_path, None), params={"head": 2})
    assert "did you mean 'heads'?" in str(failure.value)


def test_a_parameter_stands_in_a_template(tmp_path):
    rules = "[params]\nscope = 'encoder'\n[[rename]]\nmatch = 'w'\nto = '{scope}/w'\n"
    source = arrays(w=(3,))
    expect(values_of(tmp_path, rules, source), encoder__w=source["w"])
    expect(values_of(tmp_path, rules, source, params={"scope": "decoder"}), decoder__w=source["w"])


CUT = """
[params]
tokens = {{ from = "config.json:tokens" }}
[[rename]]
match = 'a'
to = 'a'
axes = 'token e -> token e'
take = {{ token = '{slice}' }}
[[rename]]
match = 'm'
to = 'm'
layout = 'first'
[layouts.first]
out.concat = 'o'
out.axes = 'o e -> o e'
out.from = ['b', {{ tensor = 'b', axes = 'token e -> token e', take = {{ token = '{slice}' }} }}]
"""


@pytest.mark.parametrize(("text", "cut"), [(":tokens", slice(None, 3)), ("tokens : 5", slice(3, 5))])
def test_a_parameter_bounds_a_slice(text, cut, tmp_path):
    source = arrays(a=(6, 2), m__b=(6, 2))
    expected = {"a": source["a"][cut], "m__out": np.concatenate([source["m.b"], source["m.b"][cut]])}
    expect(values_of(tmp_path, CUT.format(slice=text), source, params={"tokens": 3}), **expected)


def test_a_slice_without_its_number_says_how_to_give_one(tmp_path):
    with pytest.raises(PlanError, match="the number 'tokens' is not known: give it with --set tokens=NUMBER"):
        plan_of(tmp_path, CUT.format(slice=":tokens"), arrays(a=(6, 2), m__b=(6, 2)))


def test_a_slice_names_no_unknown_parameter(tmp_path):
    with pytest.raises(RuleError, match="no parameter is called 'token'"):
        plan_of(tmp_path, CUT.format(slice=":token"), arrays(a=(6, 2), m__b=(6, 2)))


# ---- templates and tables --------------------------------------------------------------------------------------------


def test_tables_and_arithmetic_name_the_target(tmp_path):
    rules = r"""
[tables.roles]
q_proj = "query"
k_proj = "key"
[[rename]]
match = 'blocks\.<i>\.(?P<role>[qk]_proj)'
to = 'stage{i//2+1}/block{i%2}/{roles[role]}'
layout = "dense"
"""
    source = arrays(blocks__3__q_proj__weight=(2, 3), blocks__10__k_proj__weight=(2, 3))
    expect(
        values_of(tmp_path, rules, source),
        stage2__block1__query__kernel=source["blocks.3.q_proj.weight"].T.copy(),
        stage6__block0__key__kernel=source["blocks.10.k_proj.weight"].T.copy(),
    )


def test_a_capture_that_a_table_lacks_is_an_error(tmp_path):
    rules = "[tables.t]\na = 'b'\n[[rename]]\nmatch = '(?P<x>\\w+)'\nto = '{t[x]}'\n"
    with pytest.raises(PlanError, match="table 't' has no entry 'w'"):
        plan_of(tmp_path, rules, arrays(w=(3,)))


# ---- one into several, several into one ------------------------------------------------------------------------------


def test_tied_weights_go_to_every_name_of_the_list(tmp_path):
    rules = "[[rename]]\nmatch = 'shared'\nto = ['encoder', 'decoder']\nlayout = 'embedding'\n"
    source = arrays(shared__weight=(5, 3))
    table = source["shared.weight"]
    expect(values_of(tmp_path, rules, source), encoder__embeddings=table, decoder__embeddings=table)


def test_a_tied_embedding_is_the_kernel_of_the_head_too(tmp_path):
    """One module into two layers, each with a layout of its own: the table, and its transpose."""
    rules = """
[layouts.tied]
"embedding/embeddings" = "weight"
"head/kernel" = { from = "weight", axes = "token e -> e token" }
[[rename]]
match = 'embed'
to = ''
layout = "tied"
"""
    source = arrays(embed__weight=(5, 3))
    table = source["embed.weight"]
    expect(values_of(tmp_path, rules, source), embedding__embeddings=table, head__kernel=table.T.copy())


def test_one_fused_module_becomes_three_layers(tmp_path):
    rules = r"""
[layouts.fused]
"query/kernel" = { from = "weight", axes = "(qkv o) i -> qkv i o", sizes = { qkv = 3 }, take = { qkv = 0 } }
"key/kernel" = { from = "weight", axes = "(qkv o) i -> qkv i o", sizes = { qkv = 3 }, take = { qkv = 1 } }
"value/kernel" = { from = "weight", axes = "(qkv o) i -> qkv i o", sizes = { qkv = 3 }, take = { qkv = 2 } }
[[rename]]
match = 'h\.<i>\.qkv'
to = 'layer{i}'
layout = "fused"
"""
    source = arrays(h__0__qkv__weight=(12, 4))
    query, key, value = source["h.0.qkv.weight"].reshape(3, 4, 4).transpose(0, 2, 1)
    expect(
        values_of(tmp_path, rules, source),
        layer0__query__kernel=query,
        layer0__key__kernel=key,
        layer0__value__kernel=value,
    )


def test_three_modules_become_one_fused_layer(tmp_path):
    rules = r"""
[layouts.unfused]
kernel = { from = ['q\.weight', 'k\.weight', 'v\.weight'], concat = "o", axes = "o i -> i o" }
bias = { from = ['q\.bias', 'k\.bias', 'v\.bias'], concat = "o", axes = "o -> o" }
[[rename]]
match = 'attention'
to = 'qkv'
layout = "unfused"
"""
    names = [f"attention__{part}__{kind}" for part in "qkv" for kind in ("weight", "bias")]
    source = arrays(**{name: (4, 3) if name.endswith("weight") else (4,) for name in names})
    kernels, biases = ([source[f"attention.{part}.{kind}"] for part in "qkv"] for kind in ("weight", "bias"))
    expect(
        values_of(tmp_path, rules, source), qkv__kernel=np.concatenate(kernels).T.copy(), qkv__bias=np.hstack(biases)
    )
    del source["attention.k.bias"]
    with pytest.raises(PlanError, match="only some of a variable's tensors are there") as failure:
        plan_of(tmp_path, rules, source)
    assert r"also k\.bias" in str(failure.value)


def test_modules_that_are_summed(tmp_path):
    """Two linear maps of one input whose outputs are added are one."""
    rules = r"""
[layouts.summed]
kernel = { from = ['a\.weight', 'b\.weight'], reduce = "sum", axes = "o i -> i o" }
[[rename]]
match = 'both'
to = 'dense'
layout = "summed"
"""
    source = arrays(both__a__weight=(4, 3), both__b__weight=(4, 3))
    expect(values_of(tmp_path, rules, source), dense__kernel=sum(source.values()).T.copy())


# ---- functions of one's own ------------------------------------------------------------------------------------------

CALL = """
[layouts.own]
kernel = { from = ["weight", "factor"], call = "port_of_mine:scaled", axes = "o i -> i o" }
[[rename]]
match = 'm'
to = 'dense'
layout = "own"
"""
MODULE = """
import numpy as np

def scaled(weight, factor):
    return weight * factor[:, None]

def broken(weight, factor):
    return weight @ factor

def reads_the_numbers(weight, factor):
    return 1 / factor[:, None] * weight
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "port_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("own_module")
def test_a_function_of_ones_own_runs_where_code_is_allowed(tmp_path):
    source = arrays(m__weight=(4, 3), m__factor=(4,))
    expected = (source["m.weight"] * source["m.factor"][:, None]).T.copy()
    expect(values_of(tmp_path, CALL, source, allow_code=True), dense__kernel=expected)


@pytest.mark.usefixtures("own_module")
def test_a_function_of_ones_own_is_refused_otherwise(tmp_path):
    with pytest.raises(PlanError, match="the rule file runs code of its own") as failure:
        plan_of(tmp_path, CALL, arrays(m__weight=(4, 3), m__factor=(4,)))
    assert 'call = "port_of_mine:scaled"' in str(failure.value)
    assert "--allow-code" in str(failure.value)


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("port_of_mine:broken", "port_of_mine:broken failed on zeros"),
        ("port_of_mine:missing", "cannot find the function"),
        ("no_such_module_here:f", "cannot find the function"),
        ("port_of_mine", "cannot find the function|module:function"),
    ],
)
def test_a_function_that_is_not_there_or_fails_is_told(spec, message, tmp_path):
    with pytest.raises(RemapError, match=message):
        plan_of(
            tmp_path,
            CALL.replace("port_of_mine:scaled", spec),
            arrays(m__weight=(4, 3), m__factor=(4,)),
            allow_code=True,
        )


@pytest.mark.usefixtures("own_module")
def test_a_function_is_never_called_with_fewer_tensors_than_it_names(tmp_path):
    with pytest.raises(PlanError, match="only some of a variable's tensors are there") as failure:
        plan_of(tmp_path, CALL, arrays(m__weight=(4, 3)), allow_code=True)
    assert "also factor" in str(failure.value)


@pytest.mark.usefixtures("own_module")
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_planning_runs_a_function_on_zeros_only(tmp_path):
    """The plan is made from headers: the numbers are read when the value is rendered."""
    source = arrays(m__weight=(4, 3), m__factor=(4,))
    rules = CALL.replace("port_of_mine:scaled", "port_of_mine:reads_the_numbers")
    plan = plan_of(tmp_path, rules, source, allow_code=True)
    assert plan.assignments[0].shape == (3, 4)
    expected = (1 / source["m.factor"].astype(np.float64)[:, None] * source["m.weight"]).T
    np.testing.assert_array_equal(plan.assignments[0].value.array(), expected.astype(np.float32))


# ---- the rest of the account -----------------------------------------------------------------------------------------


def test_both_sides_of_the_account_close_or_the_plan_fails(tmp_path):
    rules = "[[rename]]\nmatch = 'fc'\nto = 'fc'\nlayout = 'dense'\n"
    variables = [
        Variable(f"fc/{name}", f"fc/{name}", shape, "float32", 0, initial=0.0)
        for name, shape in (("kernel", (3, 4)), ("bias", (4,)))
    ]
    target = Inventory("test", tuple(variables), (Layer("fc", "Dense", "fc", "fc"),), "functional", "3")
    source = arrays(fc__weight=(4, 3), step=(1,))
    with pytest.raises(PlanError) as failure:
        plan_of(tmp_path, rules, source, target=target)
    assert {problem.what for problem in failure.value.problems} == {
        "no rule claims a source tensor",
        "no rule writes a variable of the model",
    }
    ignored = "[[ignore]]\nmatch = 'step'\nreason = 'training only'\n"
    closed = rules + "fill = ['bias']\n" + ignored
    plan = plan_of(tmp_path, closed, source, target=target)
    assert [(a.name, a.kind) for a in plan.assignments] == [("fc/kernel", "moved"), ("fc/bias", "filled")]
    kept = (
        rules + "[[keep]]\nmatch = 'fc/bias'\nreason = 'zeros'\n[[ignore]]\nmatch = 'step'\nreason = 'training only'\n"
    )
    plan = plan_of(tmp_path, kept, source, target=target)
    assert [(a.kind, a.reason) for a in plan.assignments[1:]] == [("kept", "zeros")]


def test_the_public_name_takes_a_loaded_rule_file(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text("format = 1\n[[rename]]\nmatch = 'w'\nto = 'v'\n")
    plan = remap.plan(remap.load_rules(path), arrays(w=(3,)))
    assert [a.name for a in plan.assignments] == ["v"]
