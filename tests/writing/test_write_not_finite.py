"""NaN and infinities: written with every bit as they are, and counted."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest
from plans import plan_of
from safetensors.numpy import load_file, save_file

from remap.writing.finite import not_finite
from remap.writing.write import write

FLOATS = ["f4", "f8", "f2", ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn]


@pytest.mark.parametrize("dtype", [*FLOATS, "c8"])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_each_is_counted(dtype):
    """Held against the functions of the types themselves, over all numbers of the narrow ones."""
    dtype = np.dtype(dtype)
    if dtype.itemsize <= 2:
        array = np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}").view(dtype)
    else:
        array = np.array([1, -0.0, np.nan, -np.nan, np.inf, -np.inf, np.finfo("f4").max], dtype)
    found = not_finite(array)
    assert found.nan == np.count_nonzero(np.isnan(array)) > 0
    assert found.infinite == np.count_nonzero(np.isinf(array))
    assert not not_finite(array[np.isfinite(array)])


@pytest.mark.parametrize("dtype", ["i8", "u1", "?"])
def test_integers_are_finite(dtype):
    assert not not_finite(np.array([0, 1], dtype))


@pytest.mark.parametrize("name", ["w.h5", "w.npz", "w.safetensors", "w.ckpt"])
def test_bits_stay_and_the_account_has_them(name, tmp_path):
    bits = np.array([0x7FC00001, 0xFFC00123, 0x7F800001, 0x7F800000, 0xFF800000, 0x80000000], "u4")
    large = np.ones((1500, 3000), "f4")  # several tiles
    large[0, 0] = large[-1, -1] = np.nan
    arrays = {"a/odd": bits.view("f4"), "b/large": large, "c/fine": np.ones(3, "f4")}
    written = write(plan_of(arrays, tmp_path), tmp_path / name)
    assert [(found.name, found.nan, found.infinite) for found in written.not_finite] == [
        ("a/odd", 3, 2),
        ("b/large", 2, 0),
    ]
    holder = written.path if name != "w.ckpt" else tmp_path / "w.ckpt.data-00000-of-00001"
    assert bits.tobytes() in holder.read_bytes()


def test_narrowing_keeps_them(tmp_path):
    array = np.array([np.nan, -np.inf, 1.5], "f4")
    written = write(plan_of({"a/x": array}, tmp_path, dtypes={"a/x": "bfloat16"}), tmp_path / "w.npz")
    assert (written.not_finite[0].nan, written.not_finite[0].infinite) == (1, 1)


def test_the_report_says_so(fixtures, tmp_path, remap_command):
    state = load_file(fixtures / "linear/linear.safetensors")
    state["weight"][1, 2], state["bias"][:2] = np.nan, -np.inf
    save_file(state, tmp_path / "odd.safetensors")
    command = ("apply", fixtures / "linear/linear.toml", tmp_path / "odd.safetensors", "-o", tmp_path / "w.npz")
    ran = remap_command(*command)
    assert ran.code == 0, ran.err
    assert "not finite in the checkpoint, written as they are: dense/bias: 2 infinite; dense/kernel: 1 NaN" in ran.out
    found = json.loads(remap_command(*command, "--force", "--json").out)["written"]["not_finite"]
    assert found == [{"name": "dense/bias", "nan": 0, "infinite": 2}, {"name": "dense/kernel", "nan": 1, "infinite": 0}]
    array = np.load(tmp_path / "w.npz")["dense/kernel"]
    assert np.array_equal(array, state["weight"].T, equal_nan=True)


def test_nothing_is_said_where_all_is_finite(fixtures, tmp_path, remap_command):
    source = fixtures / "linear/linear.safetensors"
    ran = remap_command("apply", fixtures / "linear/linear.toml", source, "-o", tmp_path / "w.npz")
    assert ran.code == 0
    assert "finite" not in ran.out
