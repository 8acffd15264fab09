"""What is proved is told in one vocabulary: no class of Keras or PyTorch is known to it by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from repository import ROOT

PROVING = sorted((ROOT / "remap" / "proving").rglob("*.py"))
CLASSES = frozenset((ROOT / "tests" / "house" / "class_names.txt").read_text().split())
"""Classes of keras.layers and torch.nn."""
SHOWN = {"Multiply"}
"""What a product that no layer made is called in messages (remap/proving/products.py)."""
SHORTEST = 3
"""A shorter piece is in names of all kinds."""
ENDS = ("startswith", "endswith", "removeprefix", "removesuffix")


def strings(node: ast.AST) -> Iterator[ast.Constant]:
    """Every string in an expression."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner


def compared(tree: ast.AST) -> Iterator[ast.Constant]:
    """Strings that something is compared with, looked for in, cut off by, or kept under."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare():
                yield from strings(node)
            case ast.Call(func=ast.Attribute(attr=name)) if name in ENDS:
                yield from (constant for argument in node.args for constant in strings(argument))
            case ast.Dict():
                yield from (constant for key in node.keys if key is not None for constant in strings(key))
            case ast.MatchValue():
                yield from strings(node)


def classes_named(tree: ast.Module) -> list[tuple[int, str]]:
    """Where a module compares with a class's name or a piece of one, or holds one as a value."""
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    pieces = {
        (node.lineno, node.value)
        for node in compared(tree)
        if node.value[:1].isupper() and len(node.value) >= SHORTEST and any(node.value in name for name in CLASSES)
    }
    whole = {
        (node.lineno, node.value)
        for node in strings(tree)
        if node.value in CLASSES - SHOWN and id(node) not in documented
    }
    return sorted(pieces | whole)


def test_no_cause_knows_a_class_by_its_name():
    named = {path.relative_to(ROOT).as_posix(): classes_named(ast.parse(path.read_text())) for path in PROVING}
    assert len(named) > 100
    assert not {path: lines for path, lines in named.items() if lines}


@pytest.mark.parametrize(
    "line",
    [
        'step.call.kind.startswith("ZeroPadding")',
        '"Conv" in step.call.kind',
        'INSIDE = ("Rescaling", "Normalization")',
        'GATES = {"LSTM": 4}',
        'layer.class_name.endswith(("Functional", "Model"))',
        'kind == "Conv2d"',
    ],
)
def test_a_name_is_seen(line):
    assert classes_named(ast.parse(line))


@pytest.mark.parametrize("line", ['title = "a ZeroPadding layer before it"', '"""Conv2D"""', 'side == "Keras"'])
def test_a_message_is_none(line):
    assert not classes_named(ast.parse(line))
