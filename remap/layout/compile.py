"""An expression and the shapes of its sources, compiled to a recipe.

The order is fixed: the sources are combined (stack, then list), then axes, take, order, flip,
scale and add. Everything happens to views; see :mod:`remap.layout.recipe`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from remap.layout.axes import Axes, AxesError, AxisGroup, parse_axes
from remap.layout.blind import blindness
from remap.layout.combine import Combined, Form, Shape, Steps, combine, drop, elementary, without
from remap.layout.expression import Expression
from remap.layout.recipe import Piece, Recipe, Term
from remap.layout.take import bounded
from remap.tensors.dtypes import is_float, working_dtype

__all__ = ["Form", "compile_recipe"]


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
    combined = combine(expression, forms, parts, sizes, steps)
    if expression.axes is None:
        shape = axes = combined.shape
        terms, known = combined.terms, {}
    else:
        pattern = parse_axes(expression.axes)
        ordered = {name: len(order) for name, order in expression.order.items() if name not in expression.take}
        known = pattern.solve(combined.shape, {**ordered, **sizes}, _target_groups(pattern, expression, target))
        shape, axes, terms = _arrange(expression, pattern, combined, known, sizes, steps)
    blind = blindness(expression, [form.shape for form in forms], known) if expression.verify else None
    for word, value, neutral in (("scale", expression.scale, 1.0), ("add", expression.add, 0.0)):
        if value != neutral:
            steps.append((f"{word} {value:g}", shape))
    dtype = _result_dtype(forms, expression)
    named = {**sizes, **known}
    if expression.stack is not None:
        named[expression.stack] = len(parts[0])
    return Recipe(shape, axes, dtype, terms, expression.scale, expression.add, tuple(steps), blind, named)


def _result_dtype(forms: tuple[Form, ...], expression: Expression) -> np.dtype:
    dtypes = list(dict.fromkeys(form.dtype for form in forms))
    dtype = dtypes[0] if len(dtypes) == 1 else np.result_type(*dtypes)
    if expression.scale == 1.0 and expression.add == 0.0:
        # what is only moved or summed among integers keeps its type; narrow floats are added in a wider one
        return working_dtype(dtype) if expression.reduce is not None else dtype
    if dtype.kind == "c":
        return dtype
    if not is_float(dtype):
        return np.dtype(np.float64 if dtype.itemsize > 4 else np.float32)
    return working_dtype(dtype)


def _arrange(
    expression: Expression,
    axes: Axes,
    combined: Combined,
    known: Mapping[str, int],
    sizes: Mapping[str, int],
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
        index = bounded(text, extents[axis], name, sizes)
        chosen = index if isinstance(index, range) else range(index, index + 1)
        terms = tuple(_reindex(term, axis, list(chosen)) for term in terms)
        if isinstance(index, range):
            extents[axis] = len(index)
        else:
            terms = tuple(tuple(_dropped(piece, axis) for piece in term) for term in terms)
            names, groups = without(names, name), drop(groups, name)
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
    single = {name for name, text in expression.take.items() if isinstance(text, int)}
    left = iter(target)
    sizes: list[int | None] = []
    for group in axes.right:
        gone = bool(group) and set(group) <= single
        size = None if gone else next(left, None)
        sizes.append(None if any(name in expression.take for name in group) else size)
    return tuple(sizes) if next(left, None) is None else None


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
    view, names = elementary(piece.view, axes, {**sizes, **extent})
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


def _merged_shape(groups: tuple[AxisGroup, ...], names: AxisGroup, extents: list[int]) -> Shape:
    sizes = dict(zip(names, extents, strict=True))
    return tuple(prod(sizes[name] for name in group) for group in groups)
