"""What all tests share: fixtures' models, random weights, the command line in this process."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# pytest runs one worker a core: with more threads than that the frameworks mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import pytest

# First of all: once TensorFlow is loaded, loading torch's compiler (torch.optim, torch.export) ends the process.
import torch._dynamo  # noqa: F401
from repository import FIXTURES, import_file


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
