"""The command starts in a blink: no framework is imported unless it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "tensorflow", "keras", "jax", "pandas", "scipy")

SCRIPT = """
import json, sys
from remap.cli.main import main
code = 0
try:
    main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code or 0
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


def modules_after(*arguments: object) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    code, modules = json.loads(ran.stderr.splitlines()[-1])
    assert code == 0, ran.stderr
    return set(modules)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
@pytest.mark.parametrize("container", ["pt", "safetensors"])
def test_apply_imports_neither_torch_nor_tensorflow(container, suffix, fixtures, tmp_path):
    checkpoint = fixtures / "resnet/thin_resnet50.pt"
    arguments = ["apply", "resnet", checkpoint, "-o", tmp_path / f"out{suffix}"]
    if container == "safetensors":
        arguments = ["apply", fixtures / "conv_bn/conv_bn.toml", fixtures / "conv_bn/conv_bn.safetensors"]
        arguments += ["-o", tmp_path / f"out{suffix}"]
    if suffix == ".weights.h5":
        name = "thin_resnet50" if container == "pt" else "conv_bn"
        arguments += ["--target", fixtures / ("resnet" if container == "pt" else "conv_bn") / f"{name}.target.json.gz"]
    loaded = modules_after(*arguments)
    assert "h5py" in loaded
    assert not loaded & set(HEAVY)


def test_inspect_and_help_import_no_framework(fixtures):
    loaded = modules_after("inspect", fixtures / "resnet/thin_resnet50.pt")
    assert not loaded & set(HEAVY)
    assert not modules_after("--help") & {*HEAVY, "numpy", "h5py", "rich"}


def test_import_remap_alone_costs_nothing():
    ran = subprocess.run(
        [sys.executable, "-c", "import remap, sys; print('numpy' in sys.modules)"], capture_output=True, text=True
    )
    assert ran.stdout.strip() == "False"
