"""Putting the sources of an expression together: stacked, listed, joined or summed.

What comes out is one shape and the views that cover it; :mod:`remap.layout.compile` goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from remap.layout.axes import Axes, AxesError, AxisGroup, parse_axes, parse_groups
from remap.layout.expression import Expression, SourcePart
from remap.layout.recipe import Piece, Term, View
from remap.layout.take import bounded

Shape = tuple[int, ...]
Steps = list[tuple[str, Shape]]


@dataclass(frozen=True, slots=True)
class Form:
    """What a recipe depends on of a source: shape, strides (in elements) and dtype."""

    shape: Shape
    strides: Shape
    dtype: np.dtype


@dataclass(frozen=True, slots=True)
class Combined:
    """Sources put together: the shape, and the terms that cover it."""

    shape: Shape
    terms: tuple[Term, ...]


def combine(
    expression: Expression,
    forms: tuple[Form, ...],
    parts: tuple[tuple[int, ...], ...],
    sizes: Mapping[str, int],
    steps: Steps,
) -> Combined:
    """Put the sources of an expression together, each with its own axes and take applied.

    Args:
        expression: Says how.
        forms: The sources.
        parts: For each entry of ``from``, the indices of its sources; several when stacked.
        sizes: Known sizes of named axes.
        steps: Where each step is noted, with the shape after it.

    Raises:
        AxesError: Shapes do not fit.
    """
    sources = expression.sources if isinstance(expression.sources, list) else [expression.sources]
    stacks = []
    for source, indices in zip(sources, parts, strict=True):
        owned = [_own(source, index, forms[index], sizes, steps) for index in indices]
        stacks.append(_stacked(owned, expression.stack is not None, steps))
    if len(stacks) == 1:
        return stacks[0]
    if expression.reduce == "sum":
        stacks = _broadcast(stacks)
        _same_shapes(stacks, "are summed")
        steps.append((f"sum of {len(stacks)}", stacks[0].shape))
        return Combined(stacks[0].shape, tuple(term for stack in stacks for term in stack.terms))
    if expression.concat is not None:
        return _concatenated(stacks, expression, steps)
    _same_shapes(stacks, "are stacked")
    shape = (len(stacks), *stacks[0].shape)
    steps.append((f"stack of {len(stacks)}", shape))
    pieces = tuple(
        Piece(piece.view.insert(0), (number, *piece.start))
        for number, stack in enumerate(stacks)
        for piece in stack.terms[0]
    )
    return Combined(shape, (pieces,))


def _own(source: str | SourcePart, number: int, form: Form, sizes: Mapping[str, int], steps: Steps) -> Combined:
    """One source, its own axes and take applied."""
    view = View(number, 0, form.shape, form.strides)
    steps.append(("source", form.shape))
    if isinstance(source, str) or source.axes is None:
        return _whole(view)
    axes = parse_axes(source.axes)
    for name, text in source.take.items():
        if is_group(name):
            view = _cut_group(view, axes, name, bounded(text, view.shape[_group_axis(axes, name)], name, sizes))
    own = {name: size if isinstance(size, int) else sizes[size] for name, size in source.sizes.items()}
    known = axes.solve(view.shape, {**sizes, **own})
    view, names = elementary(view, axes, known)
    groups = axes.right
    for name, text in source.take.items():
        if not is_group(name):
            index = bounded(text, view.shape[names.index(name)], name, sizes)
            view, names, groups = _take_view(view, names, groups, name, index)
    made = [(view, (0,) * len(groups))]
    for axis, group in enumerate(groups):
        if not group:
            made = [(one.insert(axis), start) for one, start in made]
            continue
        made = [
            (merged, (*start[:axis], at, *start[axis + 1 :]))
            for one, start in made
            for merged, at in _merged(one, axis, len(group))
        ]
    shape = tuple(prod(view.shape[names.index(name)] for name in group) for group in groups)
    steps.append((f"its own axes {source.axes}", shape))
    return Combined(shape, (tuple(Piece(one, start) for one, start in made),))


def _whole(view: View) -> Combined:
    return Combined(view.shape, ((Piece(view, (0,) * len(view.shape)),),))


def is_group(name: str) -> bool:
    """Whether a take is of a group, as the left of a pattern writes it.

    >>> is_group("(c s)"), is_group("c")
    (True, False)
    """
    return name.startswith("(")


def _group_axis(axes: Axes, name: str) -> int:
    groups = parse_groups(name)
    if len(groups) != 1 or groups[0] not in axes.left:
        raise AxesError(f"{axes.text!r} has no group {name} on its left")
    return axes.left.index(groups[0])


def _cut_group(view: View, axes: Axes, name: str, index: int | range) -> View:
    if not isinstance(index, range):
        raise AxesError(f"a take of the group {name} is a slice: an index would remove it")
    return view.cut(_group_axis(axes, name), index.start, len(index), index.step)


def _merged(view: View, axis: int, count: int) -> list[tuple[View, int]]:
    """Neighbouring axes as one: in a single view where they lie in a row, else one for each entry of the first."""
    whole = view.merge(axis, count)
    if whole is not None:
        return [(whole, 0)]
    inner = prod(view.shape[axis + 1 : axis + count])
    return [
        (merged, entry * inner + at)
        for entry in range(view.shape[axis])
        for merged, at in _merged(view.take(axis, entry), axis, count - 1)
    ]


def elementary(view: View, axes: Axes, sizes: Mapping[str, int]) -> tuple[View, AxisGroup]:
    """The view with every group split, axes of size 1 dropped, in the order of the pattern's right."""
    for axis in reversed(range(len(axes.left))):
        group = axes.left[axis]
        view = view.split(axis, [sizes[name] for name in group]) if group else view.take(axis, 0)
    wanted = [name for group in axes.right for name in group]
    names = axes.names
    view = view.permute([names.index(name) for name in wanted if name in names])
    for axis, name in enumerate(wanted):
        if name not in names:
            view = view.insert(axis, sizes[name])
    return view, tuple(wanted)


def _take_view(
    view: View, names: AxisGroup, groups: tuple[AxisGroup, ...], name: str, index: int | range
) -> tuple[View, AxisGroup, tuple[AxisGroup, ...]]:
    axis = names.index(name)
    if isinstance(index, range):
        return view.cut(axis, index.start, len(index), index.step), names, groups
    return view.take(axis, index), without(names, name), drop(groups, name)


def _stacked(owned: list[Combined], stack: bool, steps: Steps) -> Combined:
    if not stack:
        return owned[0]
    shapes = {one.shape for one in owned}
    if len(shapes) > 1:
        raise AxesError(f"tensors of different shapes are stacked: {', '.join(map(str, sorted(shapes)))}")
    shape = (len(owned), *owned[0].shape)
    steps.append((f"stack of {len(owned)}", shape))
    pieces = (
        Piece(piece.view.insert(0), (number, *piece.start))
        for number, one in enumerate(owned)
        for piece in one.terms[0]
    )
    return Combined(shape, (tuple(pieces),))


def _broadcast(stacks: list[Combined]) -> list[Combined]:
    """Axes of size 1 stretched to the size that the others have there; ranks stay as they are."""
    if len({len(stack.shape) for stack in stacks}) > 1:
        return stacks
    wanted = tuple(max(sizes) for sizes in zip(*(stack.shape for stack in stacks), strict=True))
    return [_stretched(stack, wanted) for stack in stacks]


def _stretched(stack: Combined, wanted: Shape) -> Combined:
    for axis, size in enumerate(wanted):
        if stack.shape[axis] == 1 != size:
            shape = (*stack.shape[:axis], size, *stack.shape[axis + 1 :])
            terms = tuple(
                tuple(Piece(piece.view.take(axis, 0).insert(axis, size), piece.start) for piece in term)
                for term in stack.terms
            )
            stack = Combined(shape, terms)
    return stack


def _same_shapes(stacks: list[Combined], done: str) -> None:
    shapes = list(dict.fromkeys(stack.shape for stack in stacks))
    if len(shapes) > 1:
        raise AxesError(f"tensors of different shapes {done}: {' and '.join(map(str, shapes))}")


def _concatenated(stacks: list[Combined], expression: Expression, steps: Steps) -> Combined:
    name = str(expression.concat)
    axes = parse_axes(str(expression.axes))
    axis = next((i for i, group in enumerate(axes.left) if group[:1] == (name,)), None)
    if axis is None:
        raise AxesError(f"concat axis {name!r} must be an axis on the left of {axes.text!r}, or the first of a group")
    if len({len(stack.shape) for stack in stacks}) > 1 or axis >= len(stacks[0].shape):
        raise AxesError(f"cannot join {' and '.join(str(s.shape) for s in stacks)} along axis {axis} ({name})")
    rests = {stack.shape[:axis] + stack.shape[axis + 1 :] for stack in stacks}
    if len(rests) > 1:
        raise AxesError(f"shapes {' and '.join(str(s.shape) for s in stacks)} differ beside the joined axis {name!r}")
    pieces: list[Piece] = []
    position = 0
    for stack in stacks:
        for piece in stack.terms[0]:
            start = list(piece.start)
            start[axis] += position
            pieces.append(Piece(piece.view, tuple(start)))
        position += stack.shape[axis]
    shape = (*stacks[0].shape[:axis], position, *stacks[0].shape[axis + 1 :])
    steps.append((f"concat of {len(stacks)} along {name}", shape))
    return Combined(shape, (tuple(pieces),))


def without(names: AxisGroup, name: str) -> AxisGroup:
    """The names but one.

    >>> without(("h", "d"), "h")
    ('d',)
    """
    return tuple(other for other in names if other != name)


def drop(groups: tuple[AxisGroup, ...], name: str) -> tuple[AxisGroup, ...]:
    """The groups without one axis; a group that held nothing else goes."""
    return tuple(without(group, name) for group in groups if group != (name,))
