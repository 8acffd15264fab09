"""What holds for every file of the package, whatever it does."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import ROOT

LINES = 300
"""A longer module holds more than one noun."""
MODULES = sorted((ROOT / "remap").rglob("*.py"))
MACHINE_PATH = re.compile(
    r"(?<![\w.~])/(home|Users|root|work|workspace|mnt|scratch|data)/\w|/(tmp|var/tmp)/\w+/|[A-Z]:\\Users"
)
"""A place on somebody's own machine."""


def type_names(tree: ast.Module) -> Iterator[str]:
    """Classes and aliases that a module declares; constants are in capitals throughout."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and re.match(r"_*[A-Z]", target.id) and not target.id.isupper():
                yield target.id


def locals_called(name: str, tree: ast.Module) -> Iterator[int]:
    """Lines at which a function binds a name: by assignment, as a parameter, in a loop, or in any other way."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.comprehension):
            continue
        for inner in ast.walk(node):
            stored = isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store) and inner.id == name
            handler = isinstance(inner, ast.ExceptHandler) and inner.name == name
            captured = isinstance(inner, ast.MatchAs | ast.MatchStar) and inner.name == name
            if stored or handler or captured or (isinstance(inner, ast.arg) and inner.arg == name):
                yield inner.lineno


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked() -> list[Path]:
    """Text files of the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def test_type_names_are_unique():
    declared = defaultdict(list)
    for path in MODULES:
        for name in type_names(ast.parse(path.read_text())):
            declared[name].append(relative(path))
    assert len(declared) > 200
    assert {name: places for name, places in declared.items() if len(places) > 1} == {}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("class A: ...\nBits = dict[str, int]\nLIMIT = 3\nsmall = 4", ["A", "Bits"]),
        ("Handler: TypeAlias = 'X'\n_Key = str\nT = TypeVar('T')", ["Handler", "_Key"]),
    ],
)
def test_classes_and_aliases_are_recognised(source, names):
    assert list(type_names(ast.parse(source))) == names


def test_modules_are_short():
    lengths = {relative(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


@pytest.mark.parametrize("folder", ["remap", "tests", "fixtures"])
def test_the_formatter_formats_everything(folder):
    marks = re.compile(r"#\s*fmt:\s*(skip|off)")
    paths = [path for path in (ROOT / folder).rglob("*.py") if marks.search(path.read_text())]
    assert [relative(path) for path in paths] == []


def test_no_local_is_called_found():
    """Everything is found; a name says what. In errors it is what stands against ``expected``."""
    places = {
        relative(path): sorted(set(locals_called("found", ast.parse(path.read_text()))))
        for path in MODULES
        if path != ROOT / "remap/errors.py"
    }
    assert {path: lines for path, lines in places.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n found = 1",
        "def f():\n found: int = 1",
        "def f(found): ...",
        "def f(*, found=''): ...",
        "def f():\n for a, found in b: ...",
        "def f():\n with a as found: ...",
        "def f():\n if (found := g()): ...",
        "def f():\n try: ...\n except E as found: ...",
        "[found for found in a]",
        "g(lambda found: found)",
        "def f(a):\n match a:\n  case [found]: ...",
    ],
)
def test_every_way_to_bind_a_local_counts(source):
    assert set(locals_called("found", ast.parse(source)))


def test_keywords_and_fields_called_found_do_not_count():
    source = "class P:\n found: str\ndef f():\n raise E(found='a', x=p.found)"
    assert not list(locals_called("found", ast.parse(source)))


def test_no_file_names_a_place_on_somebodys_machine():
    places = [
        f"{relative(path)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert places == []
