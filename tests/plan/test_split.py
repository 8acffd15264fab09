"""One module cut into several layers beside one another, against numpy's own split and both frameworks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

import remap
from remap.errors import PlanError, RuleError
from remap.inventory.inventory import Inventory, Layer, Variable
from remap.layout.expression import Expression
from remap.layout.invert import invert
from remap.layout.split import layouts_of_parts

QKV = "'blocks\\.<i>\\.attn\\.qkv' = { to = ['block{i}_q', 'block{i}_k', 'block{i}_v'], split = { o = 3 } }"
RULES = f"format = 1\n[move.dense]\n{QKV}\n'blocks\\.<i>\\.attn\\.proj' = 'block{{i}}_proj'\n"


def fused(blocks: int, outputs: int = 12, inputs: int = 5) -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(0)
    shapes = {"weight": (outputs, inputs), "bias": (outputs,)}
    return {
        f"blocks.{i}.attn.qkv.{name}": numbers.standard_normal(shape).astype("f4")
        for i in range(blocks)
        for name, shape in shapes.items()
    }


def model(**units: int) -> Inventory:
    """Dense layers of block 0 as a target, by their roles."""
    layers, variables = [], []
    for index, (role, size) in enumerate(units.items()):
        name = f"block0_{role}"
        layers.append(Layer(name, "Dense", name, name))
        for entry, shape in (("kernel", (5, size)), ("bias", (size,))):
            variables.append(Variable(f"{name}/{entry}", f"{name}/{entry}", shape, "float32", index))
    return Inventory("demo", tuple(variables), tuple(layers), "functional", "3.15.1", ())


@pytest.fixture
def made(tmp_path):
    """The plan of a rule file given as text."""

    def plan(rules, source, **options):
        (tmp_path / "rules.toml").write_text(rules)
        return remap.plan(tmp_path / "rules.toml", source, **options)

    return plan


def values(plan) -> dict[str, np.ndarray]:
    return {assignment.name: assignment.value.array() for assignment in plan.assignments}


def only_qkv(rule: str = QKV, layout: str = "dense") -> str:
    return f"format = 1\n[move.{layout}]\n{rule}\n"


def test_one_rule_splits_kernel_and_bias_of_every_block(made):
    source = fused(2)
    plan = made(only_qkv(), source)
    again = pickle.loads(pickle.dumps(plan))
    assert [(link.part, link.layer[-1]) for link in again.links] == [(1, "q"), (2, "k"), (3, "v")] * 2
    written = values(again)
    assert len(written) == 12
    for i in range(2):
        kernels = np.split(source[f"blocks.{i}.attn.qkv.weight"], 3)
        biases = np.split(source[f"blocks.{i}.attn.qkv.bias"], 3)
        for role, kernel, bias in zip("qkv", kernels, biases, strict=True):
            assert np.array_equal(written[f"block{i}_{role}/kernel"], kernel.T)
            assert np.array_equal(written[f"block{i}_{role}/bias"], bias)
    assert len({id(assignment.value.recipe) for assignment in plan.assignments}) == 6  # shared by the blocks


def test_a_module_without_a_bias_is_split_and_a_missing_bias_is_filled(made):
    source = {name: array for name, array in fused(1).items() if name.endswith("weight")}
    assert list(values(made(only_qkv(), source))) == [f"block0_{role}/kernel" for role in "qkv"]
    filled = values(made(only_qkv(QKV.replace("split", 'fill = ["bias"], split')), source))
    assert all(np.array_equal(filled[f"block0_{role}/bias"], np.zeros(4)) for role in "qkv")


def test_an_inner_axis_of_a_group_is_cut_in_each_entry_of_the_outer(made):
    source = fused(1, outputs=24)
    rule = QKV.replace("{ o = 3 }", "{ d = 3 }, sizes = { h = 2 }")
    written = values(made(only_qkv(rule, "einsum_dense_to_heads"), source))
    kernels = source["blocks.0.attn.qkv.weight"].reshape(2, 3, 4, 5)
    for number, role in enumerate("qkv"):
        assert np.array_equal(written[f"block0_{role}/kernel"], kernels[:, number].transpose(2, 0, 1))


def test_sizes_are_those_of_a_part(made):
    source = fused(1, outputs=24)
    rule = QKV.replace("{ o = 3 }", "{ h = 3 }, sizes = { h = 2 }")
    written = values(made(only_qkv(rule, "einsum_dense_to_heads"), source))
    kernels = source["blocks.0.attn.qkv.weight"].reshape(3, 2, 4, 5)
    for number, role in enumerate("qkv"):
        assert np.array_equal(written[f"block0_{role}/kernel"], kernels[number].transpose(2, 0, 1))


def test_a_single_tensor_is_split_even_where_an_axis_has_the_name_of_the_part(made):
    rule = "'table' = { to = ['a', 'b'], axes = 'part e -> e part', split = { part = 2 } }"
    table = np.arange(12, dtype="f4").reshape(4, 3)
    written = values(made(only_qkv(rule, "tensor"), {"table": table}))
    assert np.array_equal(written["a"], table[:2].T)
    assert np.array_equal(written["b"], table[2:].T)


@pytest.mark.parametrize(
    ("word", "rows"), [("take = { row = '1:' }", [1, 2]), ("order = { row = [2, 0, 1] }", [2, 0, 1])]
)
def test_take_and_order_are_those_of_a_part(word, rows, made):
    rule = f"'table' = {{ to = ['a', 'b'], axes = 'row e -> e row', split = {{ row = 2 }}, {word} }}"
    table = np.arange(12, dtype="f4").reshape(6, 2)
    written = values(made(only_qkv(rule, "tensor"), {"table": table}))
    for name, half in zip("ab", np.split(table, 2), strict=True):
        assert np.array_equal(written[name], half[rows].T)


def test_a_parameter_called_as_the_part_changes_nothing(made):
    assert len(values(made(f"format = 1\n[params]\npart = 5\n[move.dense]\n{QKV}\n", fused(1)))) == 6


def test_a_split_of_an_included_file_stands_below_its_prefix(made, tmp_path):
    (tmp_path / "part.toml").write_text(only_qkv())
    include = "format = 1\ninclude = [{ file = 'part.toml', prefix = 'net\\.', to_prefix = 'net/' }]\n"
    source = {f"net.{name}": array for name, array in fused(1).items()}
    written = values(made(include, source))
    assert np.array_equal(written["net/block0_v/bias"], source["net.blocks.0.attn.qkv.bias"][8:])


def test_the_parts_of_a_split_make_the_tensor_again():
    whole = {"kernel": Expression(sources="weight", axes="o i -> i o"), "bias": Expression(sources="bias", like="w: o")}
    parts = layouts_of_parts(whole, {"o": 3})
    expressions = {
        (f"{role}/{entry}", -1): expression
        for role, layout in zip("qkv", parts, strict=True)
        for entry, expression in layout.items()
    }
    sizes = {slot: {"part": 3, "o": 4, "i": 5} for slot in expressions}
    inverse = invert(expressions, {"weight": (12, 5), "bias": (12,)}, sizes)
    assert not inverse.refusals
    assert not inverse.spare
    weight, bias = inverse.expressions["weight", -1], inverse.expressions["bias", -1]
    assert (weight.sources, weight.axes) == (["q/kernel", "k/kernel", "v/kernel"], "part i o -> (part o) i")
    assert (bias.sources, bias.axes) == (["q/bias", "k/bias", "v/bias"], "part o -> (part o)")


MISTAKES = {
    "too few layers": (
        QKV.replace(", 'block{i}_v'", ""),
        "dense",
        ("needs a layer of its own", "2 for 3 parts of axis 'o'", "a list of 3, in the order of the parts"),
    ),
    "one layer": ("'qkv' = { to = 'q', split = { o = 3 } }", "dense", ("1 for 3 parts of axis 'o'",)),
    "unknown axis": (
        QKV.replace("{ o", "{ out"),
        "dense",
        ("no axis 'out' to split", "one of: o, i", "did you mean 'o'?"),
    ),
    "an axis that the bias lacks": (
        QKV.replace("{ o", "{ i"),
        "dense",
        ("'bias' of the layout has no axis 'i' to split", "[layouts.NAME]"),
    ),
    "no names": (QKV, "batch_normalization", ("the layout has no axis 'o' to split",)),
    "two axes": (QKV.replace("{ o = 3", "{ o = 3, i = 1"), "dense", ("of at least 2",)),
    "two axes of several parts": (QKV.replace("{ o = 3", "{ o = 3, i = 2"), "dense", ("along one axis", "o, i")),
    "one part": (QKV.replace("= 3", "= 1"), "dense", ("a whole number of at least 2", "found: 1")),
    "an axis that joins": (
        QKV.replace("<i>", "0").replace("{i}", "0"),
        "joined",
        ("'kernel' of the layout is joined along 'o', which cannot be split",),
    ),
}
JOINED = "[layouts.joined]\nkernel = { from = ['a', 'b'], concat = 'o', axes = 'o i -> i o' }\n"


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_split_is_told_with_its_line(name, made, tmp_path):
    rule, layout, told = MISTAKES[name]
    with pytest.raises(RuleError) as raised:
        made(only_qkv(rule, layout) + (JOINED if layout == "joined" else ""), {})
    (problem,) = raised.value.problems
    assert all(text in str(problem) for text in told), str(problem)
    assert f"{tmp_path / 'rules.toml'}:3" in str(problem)
    assert "^" in problem.excerpt


def test_malformed_axes_of_a_layout_that_is_split_are_told_once(made):
    layout = "[layouts.bad]\nkernel = { from = 'weight', axes = 'o i -> i o)' }\n"
    with pytest.raises(RuleError) as raised:
        made(only_qkv(layout="bad") + layout, {})
    (problem,) = raised.value.problems
    assert problem.what == "invalid axes pattern"


def test_an_axis_that_does_not_divide_is_an_error(made, tmp_path):
    with pytest.raises(PlanError) as raised:
        made(only_qkv(), fused(1, outputs=11))
    (problem,) = raised.value.problems
    assert "axis of 11 does not split into (part o)" in problem.found
    assert problem.where.startswith(f"{tmp_path / 'rules.toml'}:3")


def test_every_part_fits_its_layer_of_the_model(made):
    assert len(values(made(only_qkv(), fused(1), target=model(q=4, k=4, v=4)))) == 6


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ({"q": 4, "k": 4}, "block0_v/kernel"),
        ({"q": 6, "v": 6}, "block0_k/kernel"),
        ({"q": 4, "k": 4, "v": 6}, "expected: (5, 6)"),
    ],
)
def test_a_model_that_the_parts_do_not_fit_is_an_error(units, told, made):
    with pytest.raises(PlanError) as raised:
        made(only_qkv(), fused(1), target=model(**units))
    assert told in str(raised.value)
    assert "rules.toml:3" in str(raised.value)


def test_two_parts_for_one_layer_are_an_error(made):
    with pytest.raises(PlanError, match="a variable is written twice"):
        made(only_qkv(QKV.replace("_v'", "_k'")), fused(1))


def test_explain_and_the_table_show_the_parts(tmp_path, remap_command):
    (tmp_path / "rules.toml").write_text(only_qkv())
    save_file(fused(2), tmp_path / "net.safetensors")
    files = tmp_path / "rules.toml", tmp_path / "net.safetensors"
    told = remap_command("explain", *files, "blocks.1.attn.qkv.weight").out
    assert [f"dense, kernel, part {number} of 3" in told for number in (1, 2, 3)] == [True] * 3
    table = remap_command("apply", *files, "--dry-run").out
    assert "block{0..1}_q and block{0..1}_k and block{0..1}_v" in table
    assert "4 tensors = 4 used + 0 ignored" in table
    assert "nothing to say" in remap_command("lint", *files).out
