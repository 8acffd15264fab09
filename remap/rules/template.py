"""Target names as templates: ``conv{stage+1}_block{block+1}_{n}_conv``, ``{roles[role]}``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache

CaptureNames = Mapping[str, str]
Tables = Mapping[str, Mapping[str, int | str]]
_Node = Callable[[CaptureNames, Tables], str | int]

_OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}


class TemplateError(ValueError):
    """A template that is malformed or cannot be filled; the caller adds where it stands."""


class Template:
    """A parsed template.

    Args:
        text: Literal text with ``{name}``, ``{stage+1}``, ``{2*i}``, ``{i//4}``, ``{i%4}`` or
            ``{table[name]}`` in it; ``{{`` and ``}}`` stand for braces.

    Raises:
        TemplateError: Malformed.

    >>> Template("conv{stage+1}_{roles[role]}").fill({"stage": "2", "role": "q"}, {"roles": {"q": "query"}})
    'conv3_query'
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()
        self.tables: set[str] = set()
        self._parts: list[str | _Node] = []
        self._parse()

    def fill(self, captures: CaptureNames, tables: Tables) -> str:
        """The text with everything put in.

        Raises:
            TemplateError: An unknown name or table entry, arithmetic on what is no number.
        """
        return "".join([part if isinstance(part, str) else str(part(captures, tables)) for part in self._parts])

    def _parse(self) -> None:
        text, position = self.text, 0
        while position < len(text):
            character = text[position]
            if text[position : position + 2] in ("{{", "}}"):
                self._parts.append(character)
                position += 2
            elif character == "{":
                end = text.find("}", position)
                if end < 0:
                    raise TemplateError(f"'{{' at column {position + 1} is not closed")
                self._parts.append(self._expression(text[position + 1 : end]))
                position = end + 1
            elif character == "}":
                raise TemplateError(f"'}}' at column {position + 1} was not opened")
            else:
                end = min(
                    (i for i in (text.find("{", position), text.find("}", position)) if i >= 0), default=len(text)
                )
                self._parts.append(text[position:end])
                position = end

    def _expression(self, text: str) -> _Node:
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise TemplateError(f"{{{text}}} is not a name, arithmetic or a look-up") from None
        return self._node(tree, text)

    def _node(self, tree: ast.expr, text: str) -> _Node:
        if isinstance(tree, ast.Name):
            self.names.add(tree.id)
            return _name(tree.id)
        if isinstance(tree, ast.Constant) and type(tree.value) in (int, str):
            value: int | str = tree.value  # type: ignore[assignment]
            return lambda captures, tables: value
        if isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATIONS:
            operation = _OPERATIONS[type(tree.op)]
            return _arithmetic(operation, self._node(tree.left, text), self._node(tree.right, text), text)
        if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name):
            self.tables.add(tree.value.id)
            return _lookup(tree.value.id, self._node(tree.slice, text))
        raise TemplateError(f"{{{text}}}: only names, whole numbers, + - * // % and table[name] can stand here")


def _name(name: str) -> _Node:
    def node(captures: CaptureNames, tables: Tables) -> str:
        if name not in captures:
            raise TemplateError(f"{{{name}}} names no capture; there are: {', '.join(captures) or 'none'}")
        return captures[name]

    return node


def _arithmetic(operation: Callable[[int, int], int], left: _Node, right: _Node, text: str) -> _Node:
    def node(captures: CaptureNames, tables: Tables) -> int:
        values = left(captures, tables), right(captures, tables)
        try:
            return operation(int(values[0]), int(values[1]))
        except (ValueError, ZeroDivisionError) as error:
            raise TemplateError(
                f"{{{text}}} cannot be computed from {values[0]!r} and {values[1]!r}: {error}"
            ) from None

    return node


def _lookup(table: str, key: _Node) -> _Node:
    def node(captures: CaptureNames, tables: Tables) -> str | int:
        entries, found = tables.get(table), str(key(captures, tables))
        if entries is None:
            raise TemplateError(f"there is no table {table!r}; there are: {', '.join(tables) or 'none'}")
        if found not in entries:
            raise TemplateError(f"table {table!r} has no entry {found!r}; it has: {', '.join(entries)}")
        return entries[found]

    return node


@lru_cache(maxsize=4096)
def parse_template(text: str) -> Template:
    """:class:`Template`, parsed once for each text."""
    return Template(text)
