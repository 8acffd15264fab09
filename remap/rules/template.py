"""Target names as templates: ``conv{stage+1}_block{block+1}_{n}_conv``, ``{roles[role]}``.

A template is a small tree: :meth:`Template.fill` evaluates it, :meth:`Template.regex` says which names it can give, and
:func:`remap.rules.solve.solve` finds the captures that give a name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

CaptureNames = Mapping[str, str]
Tables = Mapping[str, Mapping[str, int | str]]

OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}
_SYMBOLS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%"}


class TemplateError(ValueError):
    """A template that is malformed or cannot be filled; the caller adds where it stands."""


@dataclass(frozen=True, slots=True)
class PlainText:
    """Text that stands for itself."""

    text: str

    def value(self, captures: CaptureNames, tables: Tables) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class CaptureName:
    """What was captured under a name."""

    name: str

    def value(self, captures: CaptureNames, tables: Tables) -> str:
        """What was captured.

        Raises:
            TemplateError: Nothing of that name.
        """
        if self.name not in captures:
            raise TemplateError(f"{{{self.name}}} names no capture; there are: {', '.join(captures) or 'none'}")
        return captures[self.name]


@dataclass(frozen=True, slots=True)
class WrittenValue:
    """A number or a text that is written out between braces."""

    written: int | str

    def value(self, captures: CaptureNames, tables: Tables) -> int | str:
        return self.written


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two whole numbers put together.

    Args:
        operator: A key of :data:`OPERATORS`.
        left: The first.
        right: The second.
        text: All that stands between the braces, for messages.
    """

    operator: str
    left: TemplateNode
    right: TemplateNode
    text: str

    def value(self, captures: CaptureNames, tables: Tables) -> int:
        """The result.

        Raises:
            TemplateError: A side is no whole number, or zero divides.
        """
        left, right = self.left.value(captures, tables), self.right.value(captures, tables)
        try:
            return OPERATORS[self.operator](int(left), int(right))
        except (ValueError, ZeroDivisionError) as error:
            raise TemplateError(f"{{{self.text}}} cannot be computed from {left!r} and {right!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class LookUp:
    """An entry of one of the rule file's ``[tables]``."""

    table: str
    key: TemplateNode

    def value(self, captures: CaptureNames, tables: Tables) -> int | str:
        """The entry.

        Raises:
            TemplateError: There is no such table or entry.
        """
        entries, key = tables.get(self.table), str(self.key.value(captures, tables))
        if entries is None:
            raise TemplateError(f"there is no table {self.table!r}; there are: {', '.join(tables) or 'none'}")
        if key not in entries:
            raise TemplateError(f"table {self.table!r} has no entry {key!r}; it has: {', '.join(entries)}")
        return entries[key]


TemplateNode: TypeAlias = PlainText | CaptureName | WrittenValue | Arithmetic | LookUp


@dataclass(frozen=True)
class Template:
    """A parsed template.

    Args:
        text: As written.
        parts: What stands one after the other.

    >>> parse_template("conv{stage+1}_{roles[role]}").fill({"stage": "2", "role": "q"}, {"roles": {"q": "query"}})
    'conv3_query'
    """

    text: str
    parts: tuple[TemplateNode, ...]

    @cached_property
    def names(self) -> frozenset[str]:
        """The captures that it uses."""
        return frozenset(node.name for node in self._nodes() if isinstance(node, CaptureName))

    @cached_property
    def tables(self) -> frozenset[str]:
        """The tables that it looks into."""
        return frozenset(node.table for node in self._nodes() if isinstance(node, LookUp))

    def _nodes(self) -> Iterator[TemplateNode]:
        return (node for part in self.parts for node in walk_template(part))

    def fill(self, captures: CaptureNames, tables: Tables) -> str:
        """The text with everything put in.

        Raises:
            TemplateError: An unknown name or table entry, arithmetic on what is no number.
        """
        return "".join([str(part.value(captures, tables)) for part in self.parts])

    def regex(self, tables: Tables, capture: str = ".*", number: str = r"-?\d+") -> str:
        r"""A regex for the names that it can give.

        What stands between braces is a group: called after its capture where that stands alone, for the first time,
        ``part0``, ``part1`` ... by its place in :attr:`parts` otherwise.

        Args:
            tables: The rule file's look-ups.
            capture: What a capture can be.
            number: What arithmetic can give.

        >>> parse_template("conv{stage+1}_{n}_{roles[role]}").regex({"roles": {"q": "query", "k": "key"}}, "[^/]+")
        'conv(?P<part1>-?\\d+)_(?P<n>[^/]+)_(?P<part5>query|key)'
        """
        pieces, seen = [], set()
        for place, part in enumerate(self.parts):
            if isinstance(part, PlainText):
                pieces.append(re.escape(part.text))
                continue
            name = part.name if isinstance(part, CaptureName) and part.name not in seen else f"part{place}"
            seen.add(name)
            pieces.append(f"(?P<{name}>{_can_be(part, tables, capture, number)})")
        return "".join(pieces)


def walk_template(node: TemplateNode) -> Iterator[TemplateNode]:
    """A node and all below it."""
    yield node
    if isinstance(node, Arithmetic):
        yield from walk_template(node.left)
        yield from walk_template(node.right)
    elif isinstance(node, LookUp):
        yield from walk_template(node.key)


def _can_be(node: TemplateNode, tables: Tables, capture: str, number: str) -> str:
    """A regex for the values of a node."""
    if isinstance(node, CaptureName):
        return capture
    if isinstance(node, LookUp):
        return "|".join(re.escape(str(value)) for value in tables.get(node.table, {}).values())
    if isinstance(node, Arithmetic):
        return number
    return re.escape(str(node.value({}, {})))


@lru_cache(maxsize=4096)
def parse_template(text: str) -> Template:
    """Parse a template.

    Args:
        text: Literal text with ``{name}``, ``{stage+1}``, ``{2*i}``, ``{i//4}``, ``{i%4}`` or
            ``{table[name]}`` in it; ``{{`` and ``}}`` stand for braces.

    Raises:
        TemplateError: Malformed.
    """
    parts: list[TemplateNode] = []
    position = 0
    while position < len(text):
        character = text[position]
        if text[position : position + 2] in ("{{", "}}"):
            parts.append(PlainText(character))
            position += 2
        elif character == "{":
            end = text.find("}", position)
            if end < 0:
                raise TemplateError(f"'{{' at column {position + 1} is not closed")
            parts.append(_parsed(text[position + 1 : end]))
            position = end + 1
        elif character == "}":
            raise TemplateError(f"'}}' at column {position + 1} was not opened")
        else:
            end = min((i for i in (text.find("{", position), text.find("}", position)) if i >= 0), default=len(text))
            parts.append(PlainText(text[position:end]))
            position = end
    return Template(text, tuple(parts))


def _parsed(text: str) -> TemplateNode:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise TemplateError(f"{{{text}}} is not a name, arithmetic or a look-up") from None
    return _node(tree, text)


def _node(tree: ast.expr, text: str) -> TemplateNode:
    if isinstance(tree, ast.Name):
        return CaptureName(tree.id)
    if isinstance(tree, ast.Constant) and type(tree.value) in (int, str):
        written: int | str = tree.value  # type: ignore[assignment]
        return WrittenValue(written)
    if isinstance(tree, ast.BinOp) and type(tree.op) in _SYMBOLS:
        return Arithmetic(_SYMBOLS[type(tree.op)], _node(tree.left, text), _node(tree.right, text), text)
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name):
        return LookUp(tree.value.id, _node(tree.slice, text))
    raise TemplateError(f"{{{text}}}: only names, whole numbers, + - * // % and table[name] can stand here")
