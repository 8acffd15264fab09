"""What is wrong with an argument is said before a framework is imported, with the message and code of later."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from repository import FIXTURES

pytestmark = pytest.mark.full  # a framework that is not installed is told before what is asked of it

FRAMEWORKS = {"torch", "tensorflow", "keras", "jax"}

SCRIPT = """
import contextlib, io, json, sys
from remap.cli.main import main
ended = {}
for name, arguments in json.load(sys.stdin).items():
    code, said = 0, io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            main(arguments)
    except SystemExit as stop:
        code = stop.code or 0
    ended[name] = [code, said.getvalue(), sorted({module.partition(".")[0] for module in sys.modules})]
print(json.dumps(ended))
"""

RULES, CHECKPOINT = "linear.toml", "linear.safetensors"
KERAS, TORCH = ("--model", "keras_model.py:build"), ("--torch", "torch_model.py:build")
VERIFY = ("verify", RULES, CHECKPOINT)

CASES = {
    "apply: rules": (["apply", "none.toml", CHECKPOINT, *KERAS], 4, "no such rule file"),
    "apply: checkpoint": (["apply", RULES, "none.pt", *KERAS], 3, "no such checkpoint"),
    "apply: model's file": (
        ["apply", RULES, CHECKPOINT, "--model", "none.py:build"],
        5,
        "the model's file is not found",
    ),
    "apply: model's module": (["apply", RULES, CHECKPOINT, "--model", "nomod.x:build"], 5, "no module named 'nomod'"),
    "apply: archive": (["apply", RULES, CHECKPOINT, "--model", "none.keras"], 5, "the model's file is not found"),
    "apply: torch": (["apply", RULES, CHECKPOINT, *KERAS, "--torch", "none.py:build"], 5, "no file none.py"),
    "apply: target": (["apply", RULES, CHECKPOINT, "--target", "none.json"], 5, "none.json"),
    "apply: output": (["apply", RULES, CHECKPOINT, *KERAS, "-o", "there.h5"], 2, "exists"),
    "apply: output's name": (["apply", RULES, CHECKPOINT, *KERAS, "-o", "out.xyz"], 2, "does not tell its format"),
    "apply: format": (
        ["apply", RULES, CHECKPOINT, *KERAS, "-o", "a.h5", "--format", "odd"],
        2,
        "unknown output format",
    ),
    "apply: folder": (["apply", RULES, CHECKPOINT, *KERAS, "-o", "no/out.h5"], 2, "folder does not exist"),
    "apply: default output": (["apply", RULES, "copy.safetensors", *KERAS], 2, "exists"),
    "check: file": (["check", "none.h5", *KERAS, "--rules", RULES, "--checkpoint", CHECKPOINT], 2, "no such file"),
    "check: rules": (
        ["check", "there.h5", *KERAS, "--rules", "no.toml", "--checkpoint", CHECKPOINT],
        4,
        "no such rule",
    ),
    "verify: rules": (["verify", "none.toml", CHECKPOINT, *KERAS, *TORCH], 4, "no such rule file"),
    "verify: checkpoint": (["verify", RULES, "none.pt", *KERAS, *TORCH], 3, "no such checkpoint"),
    "verify: torch's file": ([*VERIFY, *KERAS, "--torch", "none.py:build"], 5, "no file none.py"),
    "verify: torch's module": ([*VERIFY, *KERAS, "--torch", "nomod:build"], 5, "no module named 'nomod'"),
    "verify: TorchScript": ([*VERIFY, *KERAS, "--torch", "none.pt"], 5, "the PyTorch model's file is not found"),
    "verify: recording": ([*VERIFY, *KERAS, "--torch", "none.safetensors"], 3, "cannot read the recording"),
    "verify: weights": ([*VERIFY, *KERAS, *TORCH, "--weights", "none.h5"], 2, "no such file"),
    "verify: input": ([*VERIFY, *KERAS, *TORCH, "--input", "none.npz"], 2, "no such file"),
    "verify: input's form": ([*VERIFY, *KERAS, *TORCH, "--input", "odd"], 2, "cannot read an input"),
    "verify: page": ([*VERIFY, *KERAS, *TORCH, "--report", "no/page.html"], 2, "folder does not exist"),
    "record: torch": (["record", "none.py:build", CHECKPOINT, "-o", "r.safetensors"], 5, "no file none.py"),
    "record: checkpoint": (["record", TORCH[1], "none.pt", "-o", "r.safetensors"], 3, "no such checkpoint"),
    "record: output": (["record", TORCH[1], CHECKPOINT, "-o", CHECKPOINT], 2, "exists"),
    "record: output's name": (["record", TORCH[1], CHECKPOINT, "-o", "r.pt"], 2, "a recording is a .safetensors file"),
    "target: output": (["target", KERAS[1], "-o", "there.h5"], 2, "exists"),
    "target: model": (["target", "none.py:build", "-o", "t.json"], 5, "no file none.py"),
    "lint: rules": (["lint", "none.toml", *KERAS], 4, "no such rule file"),
    "lint: checkpoint": (["lint", RULES, "none.pt", *KERAS], 3, "no such checkpoint"),
    "explain: checkpoint": (["explain", RULES, "none.pt", "weight", *KERAS], 3, "no such checkpoint"),
    "explain: model": (["explain", RULES, CHECKPOINT, "weight", "--model", "no.py:build"], 5, "no file no.py"),
    "diff: file": (["diff", CHECKPOINT, "none.h5", *KERAS], 3, "no such checkpoint"),
    "diff: rules": (["diff", CHECKPOINT, CHECKPOINT, "--rules", "none.toml", *KERAS], 4, "no such rule file"),
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What each command ended in, all in one process, in the folder of a conversion's files."""
    place = tmp_path_factory.mktemp("ahead")
    for name, original in ((RULES, RULES), (CHECKPOINT, CHECKPOINT), ("copy.safetensors", CHECKPOINT)):
        (place / name).write_bytes((FIXTURES / "linear" / original).read_bytes())
    for name in ("keras_model.py", "torch_model.py"):
        (place / name).write_text("import keras, torch\n")
    for name in ("there.h5", "copy.weights.h5"):
        (place / name).write_bytes(b"old")
    commands = json.dumps({name: arguments for name, (arguments, _, _) in CASES.items()})
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=commands, capture_output=True, text=True, cwd=place, check=True
    )
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_told_before_a_framework_is_imported(name, ended):
    _, code, message = CASES[name]
    told, said, modules = ended[name]
    assert (told, set(modules) & FRAMEWORKS) == (code, set()), said
    assert message in " ".join(said.split())
