"""A cast that loses data is no rounding: complex numbers, integers of many digits, quantised variables, and what a
checkpoint holds that is no tensor of numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import remap
from remap.errors import PlanError, UsageError, WriteError
from remap.explain.explain import explain
from remap.inventory.inventory import Inventory, Layer, Variable
from remap.layout.invert import invert, slots_of
from remap.layout.uses import Irreversible
from remap.lint.lint import lint
from remap.rules.load import load_rules

DENSE = "[move.dense]\n'<i>' = 'd{i}'\n"
TENSOR = "[move.tensor]\n'w' = 'd/kernel'\n"


def target(dtype="float32", **shapes):
    """A model of these variables; ``d__kernel`` stands for ``d/kernel``."""
    layers = list(dict.fromkeys(name.partition("__")[0] for name in shapes))
    variables = [
        Variable(path, path, shape, dtype, layers.index(path.partition("/")[0]))
        for path, shape in ((name.replace("__", "/"), shape) for name, shape in shapes.items())
    ]
    return Inventory("demo", tuple(variables), tuple(Layer(n, "Dense", n, n) for n in layers), "functional", "3.15.1")


@pytest.fixture
def rules(tmp_path):
    """Writes a rule file and gives its path."""

    def write(text):
        path = tmp_path / "rules.toml"
        path.write_text(f"format = 1\n{text}")
        return path

    return write


def refused(*arguments, **settings):
    with pytest.raises(PlanError) as caught:
        remap.plan(*arguments, **settings)
    return caught.value.problems


def complex_state(shape=(3, 2)):
    generator = np.random.default_rng(0)
    return {"w": (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)).astype("c8")}


def test_complex_numbers_never_become_real_ones_in_silence(rules):
    state = {f"{i}.{name}": a for i in range(2) for name, a in (("weight", np.ones((3, 2), "c8")),)}
    model = target(d0__kernel=(2, 3), d1__kernel=(2, 3))
    (problem,) = refused(rules(DENSE), state, target=model)
    assert problem.what == "complex numbers do not fit a variable of real ones"
    assert problem.found == "d{0..1}/kernel (2): complex64 into float32"
    assert 'complex = "real"' in problem.fix
    assert "d0/kernel" in problem.names
    same = remap.plan(rules(DENSE), state, target=target("complex64", d0__kernel=(2, 3), d1__kernel=(2, 3)))
    assert same.assignments[0].value.array().dtype == np.complex64


@pytest.mark.parametrize(
    ("words", "shape", "made"),
    [
        ('complex = "real"', (3, 2), lambda w: w.real),
        ('complex = "imag"', (3, 2), lambda w: w.imag),
        ('complex = "axis"', (3, 2, 2), lambda w: np.stack([w.real, w.imag], -1)),
        ('complex = "imag", axes = "o i -> i o"', (2, 3), lambda w: w.imag.T),
        ('complex = "axis", axes = "o i c -> (c o) i"', (6, 2), lambda w: np.concatenate([w.real, w.imag])),
    ],
)
def test_a_rule_takes_parts_of_complex_tensors(words, shape, made, rules, tmp_path):
    state = complex_state()
    path = rules(f"[move.tensor]\n'w' = {{ to = 'd/kernel', {words} }}\n")
    remap.apply(path, state, tmp_path / "o.npz", target=target(d__kernel=shape))
    with np.load(tmp_path / "o.npz") as written:
        assert np.array_equal(written["d/kernel"], made(state["w"]))


def test_a_layout_puts_both_parts_into_variables_of_their_own(rules):
    text = '[layouts.c]\nre = { from = "w", complex = "real" }\nim = { from = "w", complex = "imag", scale = 2.0 }\n'
    path = rules(text + "[move.c]\n'm' = 'd'\n")
    state = {"m.w": torch.from_numpy(complex_state()["w"])}
    planned = remap.plan(path, state, target=target(d__re=(3, 2), d__im=(3, 2)))
    re, im = (assignment.value.array() for assignment in planned.assignments)
    assert np.array_equal(re, state["m.w"].real.numpy())
    assert np.array_equal(im, 2 * state["m.w"].imag.numpy())
    inverse = invert(slots_of(load_rules(path).layouts["c"]), {"w": (3, 2)}, {("re", -1): {}, ("im", -1): {}})
    assert inverse.refusals["w"].code is Irreversible.COMPLEX


def test_what_is_not_complex_has_no_parts(rules):
    path = rules("[move.tensor]\n'w' = { to = 'd/kernel', complex = \"real\" }\n")
    problem = refused(path, {"w": np.ones((3, 2), "f4")}, target=target(d__kernel=(3, 2)))[0]
    assert "is for a complex tensor" in problem.found


def test_a_factor_keeps_complex_numbers_complex(rules):
    state, path = complex_state(), rules("[layouts.c]\nkernel = { from = \"w\", scale = 2.0 }\n[move.c]\n'' = 'd'\n")
    (assignment,) = remap.plan(path, state, target=target("complex64", d__kernel=(3, 2))).assignments
    assert np.array_equal(assignment.value.array(), 2 * state["w"])
    (problem,) = refused(path, state, target=target(d__kernel=(3, 2)))
    assert problem.found == "d/kernel: complex64 into float32"


def test_a_named_operation_refuses_complex_tensors(rules):
    text = '[layouts.c]\nkernel = { from = ["g", "v"], op = "weight_norm" }\n[move.c]\n\'m\' = \'d\'\n'
    state = {"m.g": np.ones((3, 1), "f4"), "m.v": complex_state()["w"]}
    assert "a named operation computes with real numbers" in {
        problem.what for problem in refused(rules(text), state, target=target(d__kernel=(3, 2)))
    }


@pytest.mark.parametrize(
    ("dtype", "last", "written"),
    [("float32", 2**24, "16777216"), ("float16", 2**11, "2048"), ("bfloat16", 2**8, "256")],
)
@pytest.mark.parametrize("integer", ["int16", "int32", "int64", "uint64"])
def test_a_whole_number_that_a_float_type_does_not_hold_is_an_error_of_writing(
    integer, dtype, last, written, rules, tmp_path
):
    if last + 1 > np.iinfo(integer).max:
        pytest.skip("the integer type has no such number")
    model, path = target(dtype, d__kernel=(3,)), rules(TENSOR)
    held = {"w": np.array([0, last, last - 1], integer)}
    remap.apply(path, held, tmp_path / "held.npz", target=model)
    lost = {"w": np.array([5, last + 1, last + 3], integer)}
    with pytest.raises(WriteError) as caught:
        remap.apply(path, lost, tmp_path / "o.npz", target=model)
    (problem,) = caught.value.problems
    assert problem.where == "d/kernel"
    assert problem.found == (f"2 whole numbers that {dtype} does not hold: the first, {last + 1}, becomes {written}")
    assert not (tmp_path / "o.npz").exists()


def test_numbers_at_the_ends_of_integer_types_are_told_from_what_they_become(rules, tmp_path):
    ends = {"w": np.array([2**63 - 1, -(2**63)], "i8")}
    with pytest.raises(WriteError, match="1 whole numbers that float64 does not hold: the first, 9223372036854775807"):
        remap.apply(rules(TENSOR), ends, tmp_path / "o.npz", target=target("float64", d__kernel=(2,)))
    with pytest.raises(WriteError, match="2 whole numbers that float16"):
        remap.apply(rules(TENSOR), ends, tmp_path / "o.npz", target=target("float16", d__kernel=(2,)))


def test_floats_are_not_rounded_into_quantised_variables(rules):
    (problem,) = refused(rules(TENSOR), {"w": np.ones(3, "f4")}, target=target("int8", d__kernel=(3,)))
    assert problem.found == "d/kernel: float32 into int8"
    assert "convert first, quantise after" in problem.fix
    remap.plan(rules(TENSOR), {"w": np.ones(3, "i1")}, target=target("int8", d__kernel=(3,)))
    remap.plan(rules(TENSOR), {"w": np.ones(3, "f4")}, target=target("int32", d__kernel=(3,)))


def sparse_checkpoint(tmp_path):
    state = {f"{i}.{n}": torch.ones(s) for i in (0, 2) for n, s in (("weight", (3, 2)), ("bias", (3,)))}
    path = tmp_path / "sparse.pt"
    torch.save({name: t.to_sparse() if t.ndim == 2 else t for name, t in state.items()}, path)
    return path


def test_a_sparse_tensor_that_is_missed_is_told_with_the_reason(rules, tmp_path, remap_command):
    checkpoint, path = sparse_checkpoint(tmp_path), rules(DENSE)
    model = target(d0__kernel=(2, 3), d0__bias=(3,), d2__kernel=(2, 3), d2__bias=(3,))
    told = {problem.what: problem for problem in refused(path, checkpoint, target=model)}
    problem = told["rules claim what was left alone in the checkpoint"]
    assert problem.where == "{0,2}.weight (2)"
    assert "sparse" in problem.found
    assert "dense" in problem.fix
    assert "no rule writes a variable of the model" in told
    assert any("sparse" in finding.message for finding in lint(path, checkpoint, target=model))
    with pytest.raises(UsageError, match=r"(?s)left alone in the checkpoint.*sparse tensor.*plain dense"):
        explain(path, checkpoint, "0.weight", target=model)


def test_every_command_tells_why_a_sparse_tensor_is_left_alone(tmp_path, remap_command):
    checkpoint = sparse_checkpoint(tmp_path)
    assert "left alone: 0.weight: sparse tensor" in remap_command("inspect", checkpoint).out
    shown = remap_command("inspect", checkpoint, r"\d\.weight")
    assert shown.code == 2
    assert "only what was left alone" in shown.err
    assert "sparse tensor" in shown.err
    compared = remap_command("diff", checkpoint, checkpoint)
    assert f"left alone in {checkpoint}: 0.weight: sparse tensor" in compared.out
    told = json.loads(remap_command("diff", checkpoint, checkpoint, "--json").out)
    assert set(told["skipped_a"]) == set(told["skipped_b"]) == {"0.weight", "2.weight"}
    (tmp_path / "a.toml").write_text("format = 1\n[move.tensor]\n'0.bias' = 'bias'\n'2.bias' = 'other/bias'\n")
    applied = remap_command("apply", tmp_path / "a.toml", checkpoint, "--dry-run")
    assert "left alone: 0.weight: sparse tensor" in applied.out
    torch.save({"w": torch.eye(2).to_sparse()}, tmp_path / "only.pt")
    alone = remap_command("inspect", tmp_path / "only.pt")
    assert "sparse tensor" in alone.err
    assert "fix: save the checkpoint with it as a plain dense tensor" in alone.err


def test_what_no_rule_claims_is_not_told_beside_other_problems(rules):
    state = {"0.weight": np.ones((3, 2), "f4"), "epoch": 3, "name": "net"}
    told = refused(rules(DENSE), state, target=target(d0__kernel=(9, 9)))
    assert [problem.what for problem in told] == ["shapes differ"]


def test_lint_tells_of_casts_before_anything_is_written(rules, tmp_path):
    np.savez(tmp_path / "a.npz", w=np.arange(3))
    path = rules(TENSOR)
    (finding,) = lint(path, tmp_path / "a.npz", target=target(d__kernel=(3,)))
    assert (finding.code, finding.level) == ("R403", "warning")
    assert "d/kernel: int64 into float32" in finding.message
    assert "16,777,216" in finding.message
    assert not lint(path, tmp_path / "a.npz", target=target("int64", d__kernel=(3,)))
    np.savez(tmp_path / "c.npz", **complex_state())
    (error,) = lint(path, tmp_path / "c.npz", target=target(d__kernel=(3, 2)))
    assert (error.code, error.level) == ("R401", "error")
    assert "complex64 into float32" in error.message
