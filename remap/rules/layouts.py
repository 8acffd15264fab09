"""The layouts that come with remap, read from ``layouts.toml`` in the language of rule files."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from remap.layout.expression import Expression
from remap.rules.schema import LayoutTable

BUILTIN_PATH = Path(__file__).with_name("layouts.toml")


@cache
def builtin_layouts() -> dict[str, dict[str, Expression]]:
    """Name to layout; a layout maps Keras variables to expressions.

    >>> builtin_layouts()["conv2d"]["kernel"].axes
    'o i h w -> h w i o'
    """
    document = tomllib.loads(BUILTIN_PATH.read_text("utf-8"))
    return {name: normalise(layout) for name, layout in msgspec.convert(document, dict[str, LayoutTable]).items()}


def normalise(layout: LayoutTable) -> dict[str, Expression]:
    """Write bare strings out as expressions."""
    return {
        variable: Expression(sources=entry) if isinstance(entry, str) else entry for variable, entry in layout.items()
    }
