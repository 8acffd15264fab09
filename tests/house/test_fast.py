"""The fast tests: which they are is told from imports, and none of them gets at a framework."""

from __future__ import annotations

import importlib.util
import sys

import frameworks
import pytest
from frameworks import NoFrameworks, file_needs_framework, functions_that_import, loaded_frameworks

SOURCES = {
    "import torch": True,
    "from keras import layers": True,
    "import torch.nn.functional as F": True,
    "if True:\n    import timm": True,
    "from safetensors.torch import save_file": True,
    "import helper": True,
    "from helper import build": True,
    "from safetensors.numpy import save_file\nimport torchlike": False,
    "def test_it():\n    import torch": False,
    "import json": False,
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_needs_a_framework_by_its_imports(source, tmp_path):
    (tmp_path / "test_it.py").write_text(source)
    (tmp_path / "helper.py").write_text("import jax")
    assert file_needs_framework(tmp_path / "test_it.py") == SOURCES[source]


@pytest.mark.parametrize("needs", [True, False])
def test_a_file_needs_what_the_conftest_of_its_folder_imports(needs, tmp_path, monkeypatch):
    monkeypatch.setattr(frameworks, "TESTS", tmp_path)
    inner = tmp_path / "folder" / "inner"
    inner.mkdir(parents=True)
    (inner / "test_it.py").write_text("import json")
    (tmp_path / "folder/conftest.py").write_text("import torch" if needs else "import json")
    (tmp_path / "conftest.py").write_text("import torch")
    assert file_needs_framework(inner / "test_it.py") == needs


def test_a_test_that_imports_one_itself_is_told_apart(tmp_path):
    source = "def test_one():\n    import keras\n\ndef test_two():\n    import json\n"
    (tmp_path / "test_it.py").write_text(source)
    assert functions_that_import(tmp_path / "test_it.py") == {"test_one"}


@pytest.fixture
def out_of_reach(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [NoFrameworks(), *sys.meta_path])
    for name in loaded_frameworks():
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("name", ["torch", "tensorflow", "keras", "jax", "safetensors.torch"])
def test_an_import_fails_and_says_what_to_do(name, out_of_reach):
    with pytest.raises(ImportError, match=rf"{name} is no part of the fast tests: mark this one @pytest\.mark\.full"):
        importlib.import_module(name)
    assert loaded_frameworks() == []


def test_the_command_line_tells_it_too(out_of_reach, fixtures, remap_command):
    linear, model = fixtures / "linear", f"{fixtures / 'linear/keras_model.py'}:build"
    ran = remap_command("apply", linear / "linear.toml", linear / "linear.safetensors", "--model", model)
    assert ran.code != 0
    assert "@pytest.mark.full" in ran.err


def test_others_import_and_look_as_ever(out_of_reach):
    assert importlib.util.find_spec("torch") is not None
    assert importlib.util.find_spec("torchlike") is None


def test_fast_means_fast(request):
    """The option does what it says in this very run."""
    fast = request.config.getoption("fast")
    assert any(isinstance(finder, NoFrameworks) for finder in sys.meta_path) == fast
    assert not (fast and loaded_frameworks())
