"""Layouts backwards: how each source tensor of a module is made from the layer's variables.

What comes out are expressions again, over variables where the layout's are over tensors, so that the same machinery
(:func:`~remap.layout.compile.compile_recipe`, tiles) carries them out, and so that inverting twice gives the layout
back. A tensor whose parts are in several variables (``in_proj_weight``: query, key and value) is one expression that
stacks or joins them. The words that describe a variable rather than change it (``fill``, ``like``, ``batchnorm``,
``verify``) are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from remap.layout.axes import axes_text
from remap.layout.combine import Shape
from remap.layout.expression import Expression, Layout, SourcePart, source_patterns
from remap.layout.uses import (
    Groups,
    Indices,
    InvertError,
    Irreversible,
    Refusal,
    SourceSlot,
    Use,
    inverse_order,
    plain_axes,
    uses_of,
)


@dataclass(frozen=True, slots=True)
class Inverse:
    """A layout turned round.

    Args:
        expressions: How each tensor is made from variables.
        refusals: Tensors that cannot be, by pattern, with the reason.
        spare: Variables that no tensor is made from: copies of others, and those that cannot be undone.
    """

    expressions: Mapping[SourceSlot, Expression]
    refusals: Mapping[str, Refusal]
    spare: tuple[SourceSlot, ...]


def slots_of(layout: Layout) -> dict[SourceSlot, Expression]:
    """A layout by slots, as :func:`invert` takes it."""
    return {(entry, -1): expression for entry, expression in layout.items()}


def invert(
    expressions: Mapping[SourceSlot, Expression],
    shapes: Mapping[str, Shape],
    sizes: Mapping[SourceSlot, Mapping[str, int]],
) -> Inverse:
    """How the sources of expressions are made from what the expressions make.

    Args:
        expressions: What is made of each module: a layout, as :func:`slots_of` gives it, or an inverse's expressions.
        shapes: Shape of each source by its pattern; of one, where several are stacked.
        sizes: For each expression the sizes of its named axes, which the plan knows:
            :attr:`remap.layout.recipe.Recipe.sizes`.

    >>> layout = {
    ...     "query": Expression(sources="in_proj", axes="(qkv d) e -> qkv e d", take={"qkv": 0}),
    ...     "key": Expression(sources="in_proj", axes="(qkv d) e -> qkv e d", take={"qkv": 1}),
    ... }
    >>> known = {"qkv": 2, "d": 3, "e": 5}
    >>> inverse = invert(slots_of(layout), {"in_proj": (6, 5)}, {("query", -1): known, ("key", -1): known})
    >>> made = inverse.expressions["in_proj", -1]
    >>> made.sources, made.axes
    (['query', 'key'], 'qkv e d -> (qkv d) e')
    """
    uses: dict[SourceSlot, list[Use]] = {}
    refusals: dict[str, Refusal] = {}
    for variable, expression in expressions.items():
        try:
            for use in tuple(uses_of(variable, expression, shapes, sizes[variable])):
                uses.setdefault(use.source, []).append(use)
        except InvertError as error:
            for pattern in source_patterns(expression):
                refusals.setdefault(pattern, error.refusal)
    made: dict[SourceSlot, Expression] = {}
    for tensor, own in uses.items():
        try:
            made[tensor] = _made(own)
        except InvertError as error:
            refusals[tensor[0]] = error.refusal
    refusals = {pattern: refusal for pattern, refusal in refusals.items() if pattern not in {name for name, _ in made}}
    used = {name for expression in made.values() for name in source_patterns(expression)}
    return Inverse(made, refusals, tuple(slot for slot in expressions if slot[0] not in used))


def _made(uses: list[Use]) -> Expression:
    """The expression of one tensor."""
    uses = _stacks(uses)
    whole = next((use for use in uses if not use.covers), None)
    if whole is not None:
        return _expression([whole], whole.variable[0], whole.right, whole.within, _inverse_orders(whole), ())
    return _joined(_in_order(uses))


def _stacks(uses: list[Use]) -> list[Use]:
    """Variables that differ in a stacked index alone, as one that has a further first axis."""
    stacks: dict[str, list[Use]] = {}
    for use in uses:
        if use.variable[1] >= 0:
            stacks.setdefault(use.variable[0], []).append(use)
    merged = [use for use in uses if use.variable[1] < 0]
    for name, members in stacks.items():
        members.sort(key=lambda use: use.variable[1])
        wanted = list(range(len(members)))
        axes = [axis for axis in members[0].covers if [use.covers.get(axis) for use in members] == wanted]
        if not axes or members[0].sizes[axes[-1]] != len(members):
            raise InvertError(Irreversible.PART, name)
        axis, first = axes[-1], members[0]
        covers = {other: index for other, index in first.covers.items() if other != axis}
        merged.append(replace(first, right=((axis,), *first.right), covers=covers, stacked=axis))
    return merged


def _in_order(uses: list[Use]) -> list[Use]:
    """The parts of one tensor along one axis, in the order of the tensor, each once."""
    parts: dict[object, Use] = {}
    for use in uses:
        parts.setdefault(tuple(use.covers.items()), use)
    first, *others = sorted(parts.values(), key=lambda use: min(_covered(use)))
    for use in others:
        if (
            len(use.covers) != 1
            or (use.left, use.covers.keys(), use.stacked) != (first.left, first.covers.keys(), first.stacked)
            or (use.orders, use.flips) != (first.orders, first.flips)
            or (use.expression.scale, use.expression.add) != (first.expression.scale, first.expression.add)
        ):
            raise InvertError(Irreversible.UNLIKE, f"{first.variable[0]} and {use.variable[0]}")
    return [first, *others]


def _joined(uses: list[Use]) -> Expression:
    """The expression of a tensor whose parts, along one axis, are in several variables."""
    first = uses[0]
    if len(first.covers) != 1:
        raise InvertError(Irreversible.UNLIKE, f"{', '.join(first.covers)} of {first.variable[0]}")
    (axis,) = first.covers
    entries = [entry for use in uses for entry in _covered(use)]
    if len(set(entries)) < len(entries):
        raise InvertError(Irreversible.OVERLAP, axis)
    if len(entries) < first.sizes[axis]:
        raise InvertError(Irreversible.PART, axis)
    orders = _inverse_orders(first)
    if entries != sorted(entries):
        orders[axis] = inverse_order(entries)
    plain = all(use.right == first.right and not use.within for use in uses)
    names: str | list[str | SourcePart] = [use.variable[0] for use in uses]
    if plain and all(isinstance(use.covers[axis], int) for use in uses):
        return _expression(uses, names, ((axis,), *first.right), {}, orders, ())
    starts_a_group = any(group[:1] == (axis,) for group in first.right)
    if plain and starts_a_group and not any(isinstance(use.covers[axis], int) for use in uses):
        return _expression(uses, names, first.right, {}, orders, (axis,))
    if first.stacked is not None:
        raise InvertError(Irreversible.UNLIKE, f"{axis} of {first.variable[0]}")
    elementary = tuple((name,) for group in first.left for name in group)
    parts: list[str | SourcePart] = [_part(use, axis, elementary) for use in uses]
    return _expression(uses, parts, elementary, {}, orders, (axis,))


def _part(use: Use, axis: str, elementary: Groups) -> SourcePart:
    """A variable with its axes brought into the elementary ones of the tensor."""
    gone = tuple((name,) for name, index in use.within.items() if isinstance(index, int))
    alone = isinstance(use.covers[axis], int)
    own = f"{axis}_part"  # its size is not that of the whole axis
    right = tuple((() if alone else (own,)) if group == (axis,) else group for group in elementary)
    left = tuple(tuple(own if name == axis else name for name in group) for group in use.right)
    takes, orders = _takes(use, use.within)
    if orders:
        raise InvertError(Irreversible.UNLIKE, use.variable[0])
    return SourcePart(use.variable[0], axes_text(left, (*gone, *right)), takes)


def _expression(
    uses: Sequence[Use],
    sources: str | list[str | SourcePart],
    left: Groups,
    within: Mapping[str, Indices],
    orders: Mapping[str, tuple[int, ...]],
    joined: Iterable[str],
) -> Expression:
    first = uses[0]
    gone = tuple((name,) for name, index in within.items() if isinstance(index, int))
    scale, add = first.expression.scale, first.expression.add
    text = axes_text(left, (*gone, *first.left))
    takes, inner = _takes(first, within)
    orders = {**orders, **inner}
    concat = next(iter(joined), None)
    moved = takes or orders or first.flips or concat is not None
    plain = not moved and text == plain_axes(len(left), first.stacked, isinstance(sources, list)).text
    return Expression(
        sources=sources,
        stack=first.stacked,
        concat=concat,
        axes=None if plain else text,
        sizes={name: size for use in uses for name, size in use.expression.sizes.items()},
        infer={name: what for use in uses for name, what in use.expression.infer.items()},
        take=takes,
        order={name: list(order) for name, order in orders.items()},
        flip=list(first.flips),
        scale=1.0 / scale if scale != 1.0 else 1.0,
        add=-add / scale if add else 0.0,
    )


def _takes(use: Use, within: Mapping[str, Indices]) -> tuple[dict[str, int | str], dict[str, tuple[int, ...]]]:
    """What picks a tensor out of a variable: indices and slices in words, and the orders of what they give.

    Raises:
        InvertError: No slice picks it.
    """
    takes: dict[str, int | str] = {}
    orders: dict[str, tuple[int, ...]] = {}
    for name, place in within.items():
        if isinstance(place, int):
            takes[name] = place
            continue
        entries = sorted(place)
        step = entries[1] - entries[0] if len(entries) > 1 else 1
        picked = range(entries[0], entries[-1] + 1, step)
        if entries != list(picked):
            raise InvertError(Irreversible.UNLIKE, f"{name} of {use.variable[0]}")
        stop = "" if entries[-1] + step >= use.sizes[name] else entries[-1] + 1
        takes[name] = f"{entries[0] or ''}:{stop}" + (f":{step}" if step > 1 else "")
        if tuple(entries) != place:
            orders[name] = tuple(picked.index(entry) for entry in place)
    return takes, orders


def _covered(use: Use) -> tuple[int, ...]:
    return tuple(entry for index in use.covers.values() for entry in ((index,) if isinstance(index, int) else index))


def _inverse_orders(use: Use) -> dict[str, tuple[int, ...]]:
    """The orders that undo a variable's, flips of the same axes coming after them as before."""
    orders = {}
    for name, order in use.orders.items():
        flipped = name in use.flips
        inverse = inverse_order(order[::-1] if flipped else order)
        orders[name] = inverse[::-1] if flipped else inverse
    return orders
