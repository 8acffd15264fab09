"""An expression and the shapes of its sources, compiled to a recipe.

The order is fixed: the sources are combined (stack, then list), then axes, take, order, flip,
scale and add. Everything happens to views; see :mod:`remap.layout.recipe`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from remap.dtypes import is_float
from remap.layout.axes import Axes, AxesError, Group, parse_axes
from remap.layout.recipe import Piece, Recipe, Term, View
from remap.layout.take import TakeError, parse_take
from remap.rules.schema import Expression, Part

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


def compile_recipe(
    expression: Expression,
    forms: tuple[Form, ...],
    parts: tuple[tuple[int, ...], ...],
    sizes: Mapping[str, int],
    target: Shape | None = None,
) -> Recipe:
    """The recipe of one variable.

    Args:
        expression: What to do.
        forms: The sources.
        parts: For each entry of ``from``, the indices of its sources; several when stacked.
        sizes: Known sizes of named axes.
        target: Shape of the variable, where a model is known.

    Raises:
        AxesError: Shapes do not fit the expression.
    """
    steps: Steps = []
    combined = _combine(expression, forms, parts, sizes, steps)
    if expression.axes is None:
        shape = axes = combined.shape
        terms, blind = combined.terms, ""
    else:
        pattern = parse_axes(expression.axes)
        known = pattern.solve(combined.shape, sizes, _target_groups(pattern, expression, target))
        shape, axes, terms = _arrange(expression, pattern, combined, known, steps)
        blind = _blindness(pattern, known) if expression.verify else ""
    for word, value, neutral in (("scale", expression.scale, 1.0), ("add", expression.add, 0.0)):
        if value != neutral:
            steps.append((f"{word} {value:g}", shape))
    dtype = _result_dtype(forms, expression, len(terms) > 1)
    return Recipe(shape, axes, dtype, terms, expression.scale, expression.add, tuple(steps), blind)


def _result_dtype(forms: tuple[Form, ...], expression: Expression, summed: bool) -> np.dtype:
    dtypes = list(dict.fromkeys(form.dtype for form in forms))
    dtype = dtypes[0] if len(dtypes) == 1 else np.result_type(*dtypes)
    if (expression.scale != 1.0 or expression.add != 0.0) and not is_float(dtype):
        return np.dtype(np.float64 if dtype.itemsize > 4 else np.float32)
    return dtype


def _combine(
    expression: Expression,
    forms: tuple[Form, ...],
    parts: tuple[tuple[int, ...], ...],
    sizes: Mapping[str, int],
    steps: Steps,
) -> Combined:
    sources = expression.sources if isinstance(expression.sources, list) else [expression.sources]
    stacks = []
    for source, indices in zip(sources, parts, strict=True):
        views = [_own_view(source, index, forms[index], sizes, steps) for index in indices]
        stacks.append(_stacked(views, expression.stack is not None, steps))
    if len(stacks) == 1:
        return stacks[0]
    if expression.reduce == "sum":
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


def _own_view(source: str | Part, index: int, form: Form, sizes: Mapping[str, int], steps: Steps) -> View:
    """The view of one source, its own axes and take applied."""
    view = View(index, 0, form.shape, form.strides)
    steps.append(("source", form.shape))
    if isinstance(source, str) or source.axes is None:
        return view
    axes = parse_axes(source.axes)
    known = axes.solve(view.shape, sizes)
    view, names = _elementary(view, axes, known)
    groups = axes.right
    for name, text in source.take.items():
        view, names, groups = _take_view(view, names, groups, name, text)
    for axis, group in enumerate(groups):
        merged = view.merge(axis, len(group)) if group else view.insert(axis)
        if merged is None:
            raise AxesError(f"{source.axes!r} of one source merges axes out of order; merge in the expression's axes")
        view = merged
    steps.append((f"its own axes {source.axes}", view.shape))
    return view


def _elementary(view: View, axes: Axes, sizes: Mapping[str, int]) -> tuple[View, Group]:
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
    view: View, names: Group, groups: tuple[Group, ...], name: str, text: int | str
) -> tuple[View, Group, tuple[Group, ...]]:
    axis = names.index(name)
    index = _bounded(parse_take(text), view.shape[axis], name)
    if isinstance(index, range):
        return view.cut(axis, index.start, len(index), index.step), names, groups
    return view.take(axis, index), _without(names, name), _drop(groups, name)


def _stacked(views: list[View], stack: bool, steps: Steps) -> Combined:
    if not stack:
        return Combined(views[0].shape, ((Piece(views[0], (0,) * len(views[0].shape)),),))
    shapes = {view.shape for view in views}
    if len(shapes) > 1:
        raise AxesError(f"tensors of different shapes are stacked: {', '.join(map(str, sorted(shapes)))}")
    shape = (len(views), *views[0].shape)
    steps.append((f"stack of {len(views)}", shape))
    return Combined(
        shape, (tuple(Piece(view.insert(0), (i, *(0 for _ in view.shape))) for i, view in enumerate(views)),)
    )


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


def _arrange(
    expression: Expression,
    axes: Axes,
    combined: Combined,
    known: Mapping[str, int],
    steps: Steps,
) -> tuple[Shape, Shape, tuple[Term, ...]]:
    """Shape, elementary axes and terms after axes, take, order and flip."""
    names = tuple(name for group in axes.right for name in group)
    terms = tuple(tuple(_split_piece(piece, axes, known) for piece in term) for term in combined.terms)
    extents = [known[name] for name in names]
    groups = axes.right
    steps.append((axes.text, _merged_shape(groups, names, extents)))
    for name, text in expression.take.items():
        axis = names.index(name)
        index = _bounded(parse_take(text), extents[axis], name)
        chosen = index if isinstance(index, range) else range(index, index + 1)
        terms = tuple(_reindex(term, axis, list(chosen)) for term in terms)
        if isinstance(index, range):
            extents[axis] = len(index)
        else:
            terms = tuple(tuple(_dropped(piece, axis) for piece in term) for term in terms)
            names, groups = _without(names, name), _drop(groups, name)
            del extents[axis]
        steps.append((f"take {name} = {text}", _merged_shape(groups, names, extents)))
    flips = dict.fromkeys(expression.flip)
    for name, given in (*expression.order.items(), *flips.items()):
        axis = names.index(name)
        order = given if given is not None else list(reversed(range(extents[axis])))
        if len(order) != extents[axis]:
            raise AxesError(f"order of axis {name!r} lists {len(order)} entries, the axis has {extents[axis]}")
        terms = tuple(_reindex(term, axis, order) for term in terms)
        word = f"flip {name}" if given is None else f"order {name} = {order}"
        steps.append((word, _merged_shape(groups, names, extents)))
    return _merged_shape(groups, names, extents), tuple(extents), terms


def _target_groups(axes: Axes, expression: Expression, target: Shape | None) -> tuple[int | None, ...] | None:
    """The target's sizes for the groups of the pattern's right: unknown where ``take`` changes them."""
    if target is None:
        return None
    single = {name for name, text in expression.take.items() if isinstance(parse_take(text), int)}
    left = iter(target)
    found: list[int | None] = []
    for group in axes.right:
        gone = bool(group) and set(group) <= single
        size = None if gone else next(left, None)
        found.append(None if any(name in expression.take for name in group) else size)
    return tuple(found) if next(left, None) is None else None


def _split_piece(piece: Piece, axes: Axes, sizes: Mapping[str, int]) -> Piece:
    """A piece in the elementary axes of the pattern's right."""
    start: dict[str, int] = {}
    extent: dict[str, int] = {}
    for axis, group in enumerate(axes.left):
        low, count = piece.start[axis], piece.view.shape[axis]
        for position, name in enumerate(group):
            inner = max(prod(sizes[other] for other in group[position + 1 :]), 1)
            first, rest = divmod(low, inner)
            many = -(-(rest + count) // inner)
            if many > 1 and (rest or count % inner):
                raise AxesError(f"a joined tensor ends inside of {name!r} of {axes.text!r}; it has {count} of {inner}")
            start[name], extent[name] = first, many
            low, count = rest, count if many == 1 else inner
    # the piece's own extents split its view; the axes' sizes only say where it lands
    view, names = _elementary(piece.view, axes, {**sizes, **extent})
    return Piece(view, tuple(start.get(name, 0) for name in names))


def _reindex(term: Term, axis: int, order: list[int]) -> Term:
    """The term with entry ``j`` of an axis taken from entry ``order[j]``, in as few pieces as there are runs."""
    pieces = []
    for piece in term:
        low, count = piece.start[axis], piece.view.shape[axis]
        inside = [(j, i - low) for j, i in enumerate(order) if low <= i < low + count]
        for run in _runs(inside):
            step = run[1][1] - run[0][1] if len(run) > 1 else 1
            start = (*piece.start[:axis], run[0][0], *piece.start[axis + 1 :])
            pieces.append(Piece(piece.view.cut(axis, run[0][1], len(run), step), start))
    return tuple(pieces)


def _runs(pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Stretches of (to, from) pairs in which both move evenly: ``to`` by one, ``from`` by one step."""
    runs: list[list[tuple[int, int]]] = []
    for pair in pairs:
        run = runs[-1] if runs else []
        steady = run and pair[0] == run[-1][0] + 1 and (len(run) == 1 or pair[1] - run[-1][1] == run[1][1] - run[0][1])
        if steady:
            run.append(pair)
        else:
            runs.append([pair])
    return runs


def _dropped(piece: Piece, axis: int) -> Piece:
    return Piece(piece.view.take(axis, 0), (*piece.start[:axis], *piece.start[axis + 1 :]))


def _bounded(index: int | slice, size: int, name: str) -> int | range:
    if isinstance(index, slice):
        found = range(*index.indices(size))
        if not found:
            raise TakeError(f"slice of axis {name!r} is empty: the axis has {size} entries")
        return found
    if not -size <= index < size:
        raise TakeError(f"axis {name!r} has {size} entries, there is no {index}")
    return index % size


def _merged_shape(groups: tuple[Group, ...], names: Group, extents: list[int]) -> Shape:
    sizes = dict(zip(names, extents, strict=True))
    return tuple(prod(sizes[name] for name in group) for group in groups)


def _without(names: Group, name: str) -> Group:
    return tuple(other for other in names if other != name)


def _drop(groups: tuple[Group, ...], name: str) -> tuple[Group, ...]:
    """The groups without one axis; a group that held nothing else goes."""
    return tuple(_without(group, name) for group in groups if group != (name,))


def _blindness(axes: Axes, sizes: Mapping[str, int]) -> str:
    """Why another layout would give the same shape: axes of one size, or an axis that is split or merged."""
    names = [name for name in axes.names if sizes[name] > 1]
    equal = sorted({name for name in names for other in names if name != other and sizes[name] == sizes[other]})
    if equal:
        return f"axes of one size: {', '.join(equal)}"
    parts = [group for group in (*axes.left, *axes.right) if sum(sizes[name] > 1 for name in group) > 1]
    return f"split or merged axis: ({' '.join(parts[0])})" if parts else ""
