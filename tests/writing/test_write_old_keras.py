"""Files load in older Keras 3 too: 3.0, 3.5, the last that needs a root group, and 3.10, the first with shards."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from plans import filling
from repository import ROOT
from test_write_keras import build

from remap.sides.keras.keras_model import inventory_of
from remap.writing.write import write

SCRIPT = """
import importlib.util, sys
import keras, numpy as np
assert keras.__version__ == {version!r}
spec = importlib.util.spec_from_file_location("models", {models!r})
models = importlib.util.module_from_spec(spec)
spec.loader.exec_module(models)
for kind in {kinds!r}:
    keras.backend.clear_session()
    expected = np.load(f"{{kind}}.npz")
    for name in {names!r}:
        keras.backend.clear_session()
        model = getattr(models, kind)()
        model.load_weights(kind + name)
        found = {{weight.path.removeprefix(model.name + "/"): np.asarray(weight) for weight in model.weights}}
        assert found.keys() == set(expected), (set(expected) ^ found.keys())
        for path, array in found.items():
            assert array.tobytes() == expected[path].tobytes(), path
print("equal")
"""
KINDS = ["residual", "nested", "sequential"]


@pytest.fixture(params=["3.0.5", "3.5.0", "3.10.0"])
def old_keras(request):
    """A version of Keras and the folder that it is installed in."""
    return request.param, installed(request.config, request.param)


def installed(config, version):
    folder = config.cache.mkdir(f"keras-{version}")
    if not (folder / "keras").is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, f"keras=={version}"]
        command += ["dm-tree"] if version == "3.0.5" else []  # what later ones take from optree
        subprocess.run(command, check=True)
    return folder


def test_files_load_in_old_versions(old_keras, tmp_path):
    version, folder = old_keras
    names = [".weights.h5", ".h5"] + ([".weights.json"] if version == "3.10.0" else [])
    for kind in KINDS:
        plan, arrays = filling(inventory_of(build(kind)), tmp_path)
        np.savez(tmp_path / f"{kind}.npz", **arrays)
        largest = max(array.nbytes for array in arrays.values())
        for name in names:
            options = {"max_shard_size": 3 * largest / 1e9} if name.endswith("json") else {}
            write(plan, tmp_path / f"{kind}{name}", **options)
    script = SCRIPT.format(
        version=version, models=str(ROOT / "tests/inventory/target_models.py"), kinds=KINDS, names=names
    )
    environment = os.environ | {"PYTHONPATH": str(folder), "KERAS_BACKEND": "tensorflow"}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert ran.stdout.endswith("equal\n"), ran.stderr


MISSING = """
import sys
sys.path[:0] = [{root!r}, {tests!r}, {here!r}]
import keras
assert keras.__version__ == "3.10.0"
from pathlib import Path
from plans import filling
from repository import import_file
from remap.checking.model import check_file
from remap.errors import CheckError
from remap.sides.keras.keras_model import inventory_of
from remap.sides.keras.spec import ModelSource
from remap.writing.write import write
build = import_file(Path({root!r}) / "tests/inventory/target_models.py").residual
plan, arrays = filling(inventory_of(build), Path("."))
write(plan, Path("w.weights.json"), max_shard_size=1.5 * max(array.nbytes for array in arrays.values()) / 1e9)
source = ModelSource("", build)
assert check_file(plan, Path("w.weights.json"), source).equal
Path("w_00001.weights.h5").unlink()
build().load_weights("w.weights.json")
print("Keras says nothing")
try:
    check_file(plan, Path("w.weights.json"), source)
except CheckError as error:
    print(len(error.problems) > 1)
"""


def test_a_missing_shard_is_noticed_where_keras_says_nothing(tmp_path, request):
    """Keras 3.10 keeps what the model started with; the check reads each variable."""
    script = MISSING.format(root=str(ROOT), tests=str(ROOT / "tests"), here=str(ROOT / "tests/writing"))
    environment = os.environ | {"PYTHONPATH": str(installed(request.config, "3.10.0")), "KERAS_BACKEND": "tensorflow"}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert ran.stdout.endswith("Keras says nothing\nTrue\n"), ran.stderr
