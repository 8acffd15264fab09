"""Splits: one module cut into equal parts along an axis, each of which goes to a layer of its own."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from remap.layout.axes import axes_text, parse_axes
from remap.layout.expression import Expression, Layout, like_parts


def layouts_of_parts(layout: Layout, split: Mapping[str, int]) -> list[Layout]:
    """The layout of each part of a module, in the order of the parts.

    Args:
        layout: The layout of the whole; each of its expressions names the axis.
        split: The axis and the number of parts.

    Raises:
        AxesError: An expression's axes are malformed.

    >>> whole = {"kernel": Expression(sources="weight", axes="o i -> i o")}
    >>> [part["kernel"].axes for part in layouts_of_parts(whole, {"o": 2})]
    ['(part o) i -> part i o', '(part o) i -> part i o']
    >>> [part["kernel"].take for part in layouts_of_parts(whole, {"o": 2})]
    [{'part': 0}, {'part': 1}]
    """
    ((axis, count),) = split.items()
    return [
        {variable: _part_of(expression, axis, count, number) for variable, expression in layout.items()}
        for number in range(count)
    ]


def axes_of(expression: Expression) -> str:
    """The axes of an expression; where it has none, those that ``like`` gives its variable; empty where none does.

    >>> axes_of(Expression(sources="bias", like="weight: o"))
    'o -> o'
    """
    if expression.axes is not None:
        return expression.axes
    one = isinstance(expression.sources, str) or expression.reduce is not None or expression.op is not None
    names = like_parts(expression.like or "")[1] if one and expression.stack is None else ""
    return f"{names} -> {names}" if names else ""


def _part_of(expression: Expression, axis: str, count: int, number: int) -> Expression:
    axes = parse_axes(axes_of(expression))
    part = "part"
    while part in (*axes.names, *axes.new):
        part += "_"
    left = tuple(
        tuple(own for name in group for own in ((part, name) if name == axis else (name,))) for group in axes.left
    )
    return replace(
        expression,
        axes=axes_text(left, ((part,), *axes.right)),
        sizes={**expression.sizes, part: count},
        take={part: number, **expression.take},
    )
