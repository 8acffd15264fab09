"""float8 in a live model: on every backend, by load_into and by the lines that are printed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from repository import ROOT

SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}, {here!r}]
import keras, ml_dtypes, numpy as np
from pathlib import Path
import remap
from remap.tensors.to_numpy import to_numpy
from plans import plan_of
from remap.checking.model import check_file
from remap.sides.keras.keras_model import inventory_of
from remap.sides.keras.spec import ModelSource
from remap.writing.write import write

assert keras.backend.backend() == {backend!r}
folder = Path({folder!r})
(folder / "rules.toml").write_text("format = 1\\n[[rename]]\\nmatch = '(?P<n>.*)'\\nto = 'holder/{{n}}'\\n")
TYPES = ("float8_e4m3fn", "float8_e5m2")


def zeros(shape, dtype):
    return keras.ops.cast(keras.ops.zeros(shape, "float32"), dtype)


class Holder(keras.layers.Layer):
    def build(self, shape):
        for name in TYPES:
            setattr(self, name, self.add_weight(shape=(16, 15), dtype=name, name=name, initializer=zeros))

    def call(self, x):
        return x


def build():
    keras.backend.clear_session()
    return keras.Sequential([keras.Input((4,)), Holder(name="holder")])


def every(name):
    bits = np.arange(256, dtype="u1").view(getattr(ml_dtypes, name))
    return bits[np.isfinite(bits)][:240].reshape(16, 15)


def holds(model):
    for variable in model.weights:
        found, expected = to_numpy(variable), every(variable.name)
        assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes(), variable.path


arrays = {{name: every(name) for name in TYPES}}
model = build()
assert remap.load_into(model, folder / "rules.toml", arrays).variables == 2
holds(model)
plan = plan_of({{f"holder/{{name}}": array for name, array in arrays.items()}}, folder, inventory_of(build))
for name in ("w.npz", "w.safetensors"):
    line = write(plan, folder / name).load_line
    assert check_file(plan, folder / name, ModelSource("", build)).variables == 2
    assert "on Keras's torch backend assign float8 as .astype('float32')" in line
    if {backend!r} == "torch":
        try:
            exec(line, {{"model": build()}})
        except TypeError:
            head, tail = line.split("variable.assign(", 1)
            value, rest = tail.split("\\n", 1)
            line = head + "variable.assign(" + value.removesuffix(")") + ".astype('float32'))\\n" + rest
        else:
            raise AssertionError("the note is no longer needed")
    model = build()
    exec(line, {{"model": model}})
    holds(model)
print("equal")
"""


@pytest.mark.full
@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_every_number_on_every_backend(backend, tmp_path):
    script = SCRIPT.format(
        root=str(ROOT),
        tests=str(ROOT / "tests"),
        here=str(ROOT / "tests/writing"),
        backend=backend,
        folder=str(tmp_path),
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | {"KERAS_BACKEND": backend}
    )
    assert ran.stdout.endswith("equal\n"), ran.stderr
