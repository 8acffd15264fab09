"""Which tests need a framework, told from their imports, and how the fast tests do without one."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).parent
FRAMEWORKS = frozenset({"torch", "tensorflow", "keras", "tf_keras", "jax", "torchvision", "timm", "transformers"}) | {
    "keras_hub",
    "safetensors.torch",
    "tensorflow_text",
}
"""Modules that are a framework or import one."""


class NoFrameworks:
    """A finder for ``sys.meta_path`` that is also its own loader: an import of a framework fails and says what to do.

    Looking whether one is installed does not: what only asks goes on as ever.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in FRAMEWORKS else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        raise ImportError(f"{spec.name} is no part of the fast tests: mark this one @pytest.mark.full")

    def exec_module(self, module: ModuleType) -> None:
        """Never reached."""


def loaded_frameworks() -> list[str]:
    """Names of the frameworks that this process has imported."""
    return sorted(FRAMEWORKS & sys.modules.keys())


@cache
def file_needs_framework(file: Path) -> bool:
    """Whether importing a test file imports one: it, its folders' conftest, or a test module that it imports."""
    names = set(_imported(_parse(file).body))
    if names & FRAMEWORKS:
        return True
    others = {folder / "conftest.py" for folder in file.parents if TESTS in folder.parents} - {file}
    others |= {folder / f"{name}.py" for name in names for folder in (file.parent, TESTS)}
    return any(file_needs_framework(other) for other in others if other.is_file())


@cache
def functions_that_import(file: Path) -> frozenset[str]:
    """Names of the functions of a file that import a framework when called."""
    functions = [node for node in ast.walk(_parse(file)) if isinstance(node, ast.FunctionDef)]
    return frozenset(node.name for node in functions if FRAMEWORKS & set(_imported(node.body)))


@cache
def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def _imported(nodes: list[ast.stmt]) -> Iterator[str]:
    """Modules that statements import, each with the package it is in; what functions import when called is left out."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from (alias.name, alias.name.partition(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, node.module.partition(".")[0])
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imported([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)])
