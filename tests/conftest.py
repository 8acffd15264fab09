"""What all tests share: fixtures' models, random weights, the command line in this process."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import pytest

# First of all: once TensorFlow is loaded, loading torch's compiler (torch.optim, torch.export) ends the process.
import torch._dynamo  # noqa: F401

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "fixtures"


def import_file(path: Path) -> ModuleType:
    """A module from its file, whatever folder it lies in."""
    name = "_".join(path.relative_to(ROOT).with_suffix("").parts)
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def fixtures() -> Path:
    """The folder of the fixtures."""
    return FIXTURES


@pytest.fixture
def load_file():
    """Imports a fixture's module by its path below the folder: ``load_file("linear/torch_model.py")``."""
    return lambda path: import_file(FIXTURES / path)


class Ran:
    """What a command printed and exited with."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def remap_command(capsys):
    """Runs the command line in this process: ``remap_command("apply", rules, checkpoint)``."""

    def run(*arguments: object) -> Ran:
        from remap.cli.main import main

        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run
