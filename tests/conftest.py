"""What all tests share: fixtures' models, random weights, the command line in this process, the fast tier."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# pytest runs one worker a core: with more threads than that the frameworks mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import pytest
from frameworks import NoFrameworks, file_needs_framework, functions_that_import, loaded_frameworks
from repository import FIXTURES, import_file


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--fast``."""
    parser.addoption(
        "--fast", action="store_true", help="only tests that need no framework and little time: none marked full"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Frameworks are out of reach of the fast tests, and loaded in the right order for all others."""
    if config.getoption("fast"):
        sys.meta_path.insert(0, NoFrameworks())
    else:
        # Before all else: once TensorFlow is loaded, loading torch's compiler (torch.optim, torch.export) ends the
        # process.
        import torch._dynamo  # noqa: F401


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The fast tests leave out files, and folders by their conftest, that cannot be imported without a framework."""
    if not config.getoption("fast"):
        return None
    file = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    return True if file.suffix == ".py" and file.is_file() and file_needs_framework(file) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what the fast tests and what coverage leave out, and leave it out of the fast ones."""
    for item in items:
        imports = getattr(item, "originalname", item.name) in functions_that_import(item.path)
        if imports or file_needs_framework(item.path) or item.get_closest_marker("architectures"):
            item.add_marker("full")
        if item.get_closest_marker("architectures"):
            # Most of their time passes in the frameworks' own code, which counting lines slows by a third.
            item.add_marker("no_cover")
    if config.getoption("fast"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("full")])
        items[:] = [item for item in items if not item.get_closest_marker("full")]


@pytest.fixture(scope="session", autouse=True)
def _fast_tests_import_no_framework(request: pytest.FixtureRequest):
    """Held at the end of every worker."""
    yield
    assert not request.config.getoption("fast") or loaded_frameworks() == []


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
