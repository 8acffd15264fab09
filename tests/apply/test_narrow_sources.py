"""Arithmetic on narrow floats is done, and kept, in float32 where the target can hold it."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import remap

SUM = """
format = 1
[[rename]]
match = ''
to = 'cell'
layout = "lstm_cell"
"""


def state(dtype) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(4)
    shapes = {"weight_ih": (12, 5), "weight_hh": (12, 3), "bias_ih": (12,), "bias_hh": (12,)}
    return {name: generator.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_sums_of_narrow_tensors_are_exact_in_float32(dtype, tmp_path):
    (tmp_path / "rules.toml").write_text(SUM)
    source = state(dtype)
    expected = source["bias_ih"].astype("f4") + source["bias_hh"].astype("f4")
    bias = {a.entry: a for a in remap.plan(tmp_path / "rules.toml", source, dtype="float32").assignments}["bias"]
    assert np.array_equal(bias.value.array(), expected)
    assert not np.array_equal(expected.astype(dtype).astype("f4"), expected), "the test must be able to tell"


def test_without_a_target_the_sources_own_type_is_written(tmp_path):
    (tmp_path / "rules.toml").write_text(SUM)
    plan = remap.plan(tmp_path / "rules.toml", state(np.float16))
    assert {a.dtype.name for a in plan.assignments} == {"float16"}


def test_folding_an_epsilon_into_a_bfloat16_checkpoint_is_exact_in_float32(tmp_path):
    generator = np.random.default_rng(5)
    values = {
        name: (generator.random(64) + 0.01).astype(ml_dtypes.bfloat16)
        for name in ("weight", "bias", "running_mean", "running_var")
    }
    rules = tmp_path / "rules.toml"
    rules.write_text(
        'format = 1\n[batchnorm]\nsource_epsilon = 1e-5\ntarget_epsilon = 1e-3\non_mismatch = "fold"\n'
        "[[rename]]\nmatch = ''\nto = 'bn'\nlayout = \"batch_normalization\"\n"
    )
    gamma = {a.entry: a for a in remap.plan(rules, values, dtype="float32").assignments}["gamma"].value.array()
    weight, variance = (values[name].astype("f8") for name in ("weight", "running_var"))
    assert np.array_equal(gamma, (weight * np.sqrt((variance + 1e-3) / (variance + 1e-5))).astype("f4"))
