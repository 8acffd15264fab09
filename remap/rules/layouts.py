"""The layouts that come with remap, read from ``layouts.toml`` in the language of rule files."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from remap.rules.schema import Expression, Layout

BUILTIN_PATH = Path(__file__).with_name("layouts.toml")


@cache
def builtin_layouts() -> dict[str, dict[str, Expression]]:
    """Name to layout; a layout maps Keras variables to expressions.

    >>> builtin_layouts()["conv2d"]["kernel"].axes
    'o i h w -> h w i o'
    """
    document = tomllib.loads(BUILTIN_PATH.read_text("utf-8"))
    return {name: normalise(layout) for name, layout in msgspec.convert(document, dict[str, Layout]).items()}


def normalise(layout: Layout) -> dict[str, Expression]:
    """Write bare strings out as expressions."""
    return {
        variable: Expression(sources=entry) if isinstance(entry, str) else entry for variable, entry in layout.items()
    }


def like_parts(like: str) -> tuple[str, str]:
    """The pattern of the tensor that a fill is shaped like, and which of its axes; no axes for all of them.

    >>> like_parts("(?:pw|1).weight: o"), like_parts("weight")
    (('(?:pw|1).weight', 'o'), ('weight', ''))
    """
    pattern, colon, axes = like.rpartition(": ")
    return (pattern.strip(), axes.strip()) if colon else (like.strip(), "")


def source_patterns(expression: Expression) -> list[str]:
    """The patterns of the tensors that an expression reads, in order.

    >>> source_patterns(Expression(sources=["a", "b"]))
    ['a', 'b']
    """
    sources = expression.sources
    if isinstance(sources, str):
        return [sources]
    return [source if isinstance(source, str) else source.tensor for source in sources]
