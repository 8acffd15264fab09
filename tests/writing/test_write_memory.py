"""No format needs memory that grows with a tensor, and each tells how far it is."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from repository import ROOT

import remap

SCRIPT = """
import json, os, sys, zipfile
sys.path[:0] = [{root!r}, {here!r}]
from dataclasses import replace
from pathlib import Path
import numpy as np
from plans import h5_target, plan_of, reversing
from remap.tensors.local_file import LocalFile
from remap.tensors.tensor import FileStorage, Tensor
from remap.writing.write import write

os.fsync = lambda handle: None  # the disk's speed is not what is measured
folder, side = Path({folder!r}), 10_240
with (folder / "huge.bin").open("wb") as file:
    file.truncate(side * side * 4)
target = h5_target({{"a/x": (side, side)}})
plan = plan_of({{"a/x": np.ones((2, 2), "f4")}}, folder, target)
storage = FileStorage(LocalFile.at(folder / "huge.bin"), 0, side * side * 4)
huge = Tensor("huge", (side, side), np.dtype("f4"), (side, 1), storage)
plan = replace(plan, assignments=(replace(plan.assignments[0], value=reversing(huge)),))
with zipfile.ZipFile(folder / "old.keras", "w") as archive:
    archive.writestr("config.json", "{{}}")
for name, options in {{
    "w.h5": {{}}, "w.weights.h5": {{}}, "w.weights.json": {{}}, "w.npz": {{}}, "w.safetensors": {{}}, "w.ckpt": {{}},
    "w.keras": {{"model_archive": folder / "old.keras"}},
}}.items():
    Path("/proc/self/clear_refs").write_text("5")  # begin the peak anew
    written = write(plan, folder / name, **options)
    assert written.bytes > side * side * 4
    for path in written.paths:
        path.unlink()
    lines = Path("/proc/self/status").read_text().splitlines()
    print(name, next(line for line in lines if line.startswith("VmHWM:")).split()[1])
"""
LIMIT = 280_000
"""Kilobytes at the peak, mapped pages of the source included; the tensor has 410,000."""


@pytest.mark.full
def test_memory_does_not_grow_with_a_tensor(tmp_path):
    script = SCRIPT.format(root=str(ROOT), here=str(ROOT / "tests/writing"), folder=str(tmp_path))
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    peaks = dict(line.split() for line in ran.stdout.splitlines())
    assert len(peaks) == 7
    assert {name: peak for name, peak in peaks.items() if int(peak) > LIMIT} == {}


FORMATS = [
    ("w.h5", None),
    ("w.weights.h5", None),
    ("w.weights.json", None),
    ("w.npz", None),
    ("w.safetensors", None),
    ("w.ckpt", "tf-name"),
    ("w.ckpt", "tf-object"),
    ("w.keras", None),
]


@pytest.mark.full
@pytest.mark.parametrize(("name", "format"), FORMATS)
def test_progress_of_each_format_adds_up(name, format, fixtures, tmp_path, load_file):
    told = []
    model = f"{fixtures / 'linear/keras_model.py'}:build"
    if name == "w.keras":
        model = str(tmp_path / "old.keras")
        load_file("linear/keras_model.py").build().save(model)
    rules, source = fixtures / "linear/linear.toml", fixtures / "linear/linear.safetensors"
    result = remap.apply(
        rules, source, tmp_path / name, model=model, format=format, progress=lambda *each: told.append(each)
    )
    assert result.checked is not None
    for stage in ("write", "check"):
        assert sum(done for found, done, _ in told if found == stage) == result.plan.nbytes
    assert {total for _, _, total in told} == {result.plan.nbytes}


SHOWN = """
import sys
from remap.cli.main import main
from remap.report import progress
progress.SHOWN_AFTER = -1
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", ["apply", "diff"])
def test_a_bar_is_shown_on_a_terminal(command, fixtures, tmp_path):
    rules, source = fixtures / "linear/linear.toml", fixtures / "linear/linear.safetensors"
    arguments = {"apply": [rules, source, "-o", tmp_path / "w.h5"], "diff": [source, source]}[command]
    outer, inner = pty.openpty()
    line = [sys.executable, "-c", SHOWN, command, *map(str, arguments)]
    ran = subprocess.run(line, stdout=subprocess.PIPE, stderr=inner, text=True)
    os.close(inner)
    shown = os.read(outer, 100_000).decode()
    os.close(outer)
    assert ran.returncode == 0, shown
    assert {"apply": "write", "diff": "compare"}[command] in shown
    assert "bytes" in shown
