"""What is written loads in freshly built models by the framework's own call, every variable bit for bit."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from plans import filling
from repository import ROOT, import_file

from remap.sides.keras.keras_model import identify, inventory_of
from remap.tensors.to_numpy import to_numpy
from remap.writing.write import write

models = import_file(ROOT / "tests/inventory/target_models.py")
KINDS = ["residual", "sequential", "nested", "recurrent", "attention", "spectral", "preprocessing", "shared"]


def bfloat16():
    layer = keras.layers.Dense(3, dtype=keras.DTypePolicy("bfloat16"))
    return keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2)])


def build(kind):
    return bfloat16 if kind == "bfloat16" else getattr(models, kind)


def fresh(kind):
    keras.backend.clear_session()
    return build(kind)()


def assert_holds(model, target, arrays):
    live = identify(model, target)
    assert live.keys() == arrays.keys()
    for path, array in arrays.items():
        found = to_numpy(live[path])
        assert found.dtype == array.dtype, path
        assert found.tobytes() == array.tobytes(), path


def load(model, line):
    """Run the line that the writer gives its user."""
    ast.parse(line)
    exec(line, {"model": model, "keras": keras, "np": np})


@pytest.mark.parametrize("kind", [*KINDS, "bfloat16"])
def test_weights_h5_loads_in_keras(kind, tmp_path):
    target = inventory_of(build(kind))
    plan, arrays = filling(target, tmp_path)
    written = write(plan, tmp_path / "w.weights.h5")
    model = fresh(kind)
    load(model, written.load_line)
    assert_holds(model, target, arrays)


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "shared"])
def test_legacy_h5_loads_in_keras(kind, by_name, suffix, tmp_path):
    target = inventory_of(build(kind))
    plan, arrays = filling(target, tmp_path)
    path = tmp_path / f"w{suffix}"
    written = write(plan, path)
    assert written.load_line == f'model.load_weights("{path}")'
    model = fresh(kind)
    model.load_weights(str(path), by_name=by_name)
    assert_holds(model, target, arrays)


def test_a_layer_of_two_top_level_layers_is_written_for_both(tmp_path):
    target = inventory_of(models.shared)
    plan, arrays = filling(target, tmp_path)
    write(plan, tmp_path / "w.h5")
    model = fresh("shared")
    model.load_weights(str(tmp_path / "w.h5"))
    assert_holds(model, target, arrays)


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}, {here!r}]
import numpy as np, keras
from pathlib import Path
from remap.sides.keras.keras_model import identify, inventory_of
from test_write_keras import assert_holds, build, filling, write
assert keras.backend.backend() == {backend!r}
for kind in ("residual", "nested", "recurrent"):
    target = inventory_of(build(kind))
    plan, arrays = filling(target, Path({folder!r}))
    build(kind)().save(Path({folder!r}) / "old.keras")
    others = ("w.weights.json", "w.npz", "w.safetensors", "w.ckpt", "w.keras") if kind == "nested" else ()
    for name in ("w.weights.h5", "w.h5", *others):
        options = {{"model_archive": Path({folder!r}) / "old.keras"}} if name == "w.keras" else {{}}
        written = write(plan, Path({folder!r}) / name, force=True, **options)
        keras.backend.clear_session()
        scope = {{"model": build(kind)()}}
        exec(written.load_line, scope)
        assert_holds(scope["model"], target, arrays)
print("equal")
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_every_output_loads_on_other_backends(backend, tmp_path):
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
