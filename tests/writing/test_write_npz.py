"""bfloat16 and float8 in ``.npz``: every bit as it was, the type with it, in numpy, in Keras and in remap."""

from __future__ import annotations

import json

import keras
import ml_dtypes
import numpy as np
import pytest
import torch
from plans import filling, plan_of
from safetensors.torch import save_file
from test_write_keras import assert_holds, bfloat16, fresh, load

from remap.checking.model import check_file
from remap.opening.open import open_checkpoint
from remap.sides.keras.keras_model import inventory_of
from remap.sides.keras.spec import ModelSource
from remap.writing.write import write

NARROW = [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


def every_pattern(dtype):
    """All numbers of a type: each NaN with its payload, infinities, both zeros, subnormal ones."""
    bits = np.dtype(dtype).itemsize * 8
    return np.arange(1 << bits, dtype=f"u{bits // 8}").view(dtype).reshape(16, -1)


def same_bits(found, array):
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


@pytest.fixture
def patterns(tmp_path):
    arrays = {f"{np.dtype(dtype).name}/kernel": every_pattern(dtype) for dtype in NARROW}
    return arrays | {"single": np.array(1.5, ml_dtypes.bfloat16), "float32/kernel": np.ones((2, 3), "f4")}


def test_every_bit_and_the_type(patterns, tmp_path):
    written = write(plan_of(patterns, tmp_path), tmp_path / "w.npz")
    assert written.bytes < 2 * sum(array.nbytes for array in patterns.values())
    read = open_checkpoint(tmp_path / "w.npz")
    scope = {"np": np, "model": type("Model", (), {"weights": (), "name": "m"})}
    exec(written.load_line, scope)
    assert set(read) == set(scope["weights"]) == set(patterns)
    for name, array in patterns.items():
        same_bits(read[name].array(), array)
        same_bits(scope["typed"](scope["weights"][name]), array)


def test_nothing_is_said_of_types_that_numpy_knows(tmp_path):
    written = write(plan_of({"a/kernel": np.ones(3, "f4")}, tmp_path), tmp_path / "w.npz")
    assert "typed" not in written.load_line


def test_the_lines_fill_a_model(tmp_path):
    """Every number of bfloat16 into a variable of a bfloat16 layer."""

    def build():
        return keras.Sequential([keras.Input((16,)), keras.layers.Dense(4096, use_bias=False, dtype="bfloat16")])

    target = inventory_of(build)
    keras.backend.clear_session()
    model = build()
    (path,) = (variable.path for variable in target.variables)
    arrays = {path: every_pattern(ml_dtypes.bfloat16)}
    written = write(plan_of(arrays, tmp_path, target), tmp_path / "w.npz")
    load(model, written.load_line)
    assert_holds(model, target, arrays)


@pytest.mark.parametrize("dtype", NARROW)
def test_the_lines_fill_a_variable_of_each_type(dtype, patterns, tmp_path):
    written = write(plan_of(patterns, tmp_path), tmp_path / "w.npz")
    scope = {"model": type("Model", (), {"weights": (), "name": "m"})}
    exec(written.load_line, scope)
    name = np.dtype(dtype).name
    array = scope["typed"](scope["weights"][f"{name}/kernel"])
    variable = keras.Variable(np.zeros(array.shape, "f4"), dtype=name)
    variable.assign(array)
    same_bits(np.asarray(variable), every_pattern(dtype))
    wide = keras.Variable(np.zeros(array.shape, "f4"), dtype="float32")
    wide.assign(array)
    np.testing.assert_array_equal(np.asarray(wide), every_pattern(dtype).astype("f4"))


def test_check_and_mixed_models(tmp_path):
    target = inventory_of(bfloat16)
    plan, arrays = filling(target, tmp_path)
    written = write(plan, tmp_path / "w.npz")
    model = fresh("bfloat16")
    load(model, written.load_line)
    assert_holds(model, target, arrays)
    checked = check_file(plan, tmp_path / "w.npz", ModelSource("bfloat16", bfloat16))
    assert checked.equal
    assert checked.variables == 4


def test_diff_finds_nothing(tmp_path, remap_command):
    bits = torch.arange(1 << 16).to(torch.uint16).reshape(16, -1)
    save_file(
        {"w": bits.view(torch.bfloat16), "v": bits[0, :256].to(torch.uint8).view(torch.float8_e4m3fn)},
        tmp_path / "a.safetensors",
    )
    (tmp_path / "rules.toml").write_text("format = 1\n[[rename]]\nmatch = '(?P<name>[wv])'\nto = 'layer/{name}'\n")
    for name in ("o.npz", "o.safetensors"):
        ran = remap_command("apply", tmp_path / "rules.toml", tmp_path / "a.safetensors", "-o", tmp_path / name)
        assert ran.code == 0, ran.err
    held = remap_command("diff", tmp_path / "o.npz", tmp_path / "o.safetensors", "--json")
    assert held.code == 0, held.out
    entries = json.loads(held.out)["entries"]
    assert {tuple(entry["dtypes"]) for entry in entries} == {("bfloat16",) * 2, ("float8_e4m3fn",) * 2}


def test_what_numpy_itself_saves(tmp_path):
    """It writes codes that do not name the type; those that can mean one type only are read."""
    arrays = {np.dtype(dtype).name: every_pattern(dtype) for dtype in NARROW}
    np.savez(tmp_path / "a.npz", **arrays, plain=np.ones(2, "f4"))
    found = open_checkpoint(tmp_path / "a.npz")
    for name in ("bfloat16", "float8_e5m2"):
        same_bits(found[name].array(), arrays[name])
    assert [(skipped.name, skipped.reason) for skipped in found.skipped] == [("float8_e4m3fn", "numpy array of '<V1'")]
