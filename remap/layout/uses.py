"""What an expression does with each of its sources: which part of the source lands in which part of the variable.

This is an expression read as a relation, in which neither side comes first; :mod:`remap.layout.invert` turns it round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import prod

from remap.layout.axes import Axes, AxisGroup, parse_axes
from remap.layout.combine import Shape, drop, is_group
from remap.layout.expression import Expression, SourcePart
from remap.layout.take import bounded

SourceSlot = tuple[str, int]
"""A variable or a tensor: its name or pattern, and its index where several are stacked, -1 where not."""
Groups = tuple[AxisGroup, ...]
Indices = int | tuple[int, ...]


class Irreversible(Enum):
    """Why an expression cannot be turned round."""

    OPERATION = "a named operation has no inverse"
    CALL = "a function of the user's has no inverse"
    SUM = "several tensors are summed to one"
    REPEAT = "the source is repeated along an axis"
    GAMMA = "gamma and epsilon go into the variance"
    COMPLEX = "parts of a complex tensor are not put together again"
    ZERO = "the factor is 0"
    PART = "a part of the tensor is in no variable"
    OVERLAP = "parts of the tensor that overlap are in several variables"
    UNLIKE = "its parts are treated differently"
    UNEVEN = "joined tensors end inside of an axis"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a tensor cannot be made from the variables.

    Args:
        code: The reason.
        what: The variable or axis that it is about, in words.
    """

    code: Irreversible
    what: str

    def __str__(self) -> str:
        return f"{self.code.value} ({self.what})"


class InvertError(Exception):
    """Carries a :class:`Refusal` to where it is noted."""

    def __init__(self, code: Irreversible, what: str) -> None:
        super().__init__(what)
        self.refusal = Refusal(code, what)


@dataclass(frozen=True, slots=True)
class Use:
    """One source of one variable.

    Args:
        variable: The variable.
        source: The tensor.
        left: The tensor's axes, each a group of elementary ones.
        right: The variable's axes, likewise.
        within: The part of the variable that the tensor is, by elementary axis: indices in the tensor's order, or one
            index where the tensor lacks the axis.
        covers: The part of the tensor that the variable has, by elementary axis: indices in the variable's order, or
            one index where the variable lacks the axis.
        orders: Elementary axes whose entries the variable has in another order.
        flips: Those that it has backwards, after that.
        expression: Where all this is said.
        sizes: Sizes of elementary axes.
        stacked: The axis that all tensors of a pattern are stacked along, where this stands for all.
    """

    variable: SourceSlot
    source: SourceSlot
    left: Groups
    right: Groups
    within: Mapping[str, Indices]
    covers: Mapping[str, Indices]
    orders: Mapping[str, tuple[int, ...]]
    flips: tuple[str, ...]
    expression: Expression
    sizes: Mapping[str, int]
    stacked: str | None = None


def uses_of(
    variable: SourceSlot, expression: Expression, shapes: Mapping[str, Shape], sizes: Mapping[str, int]
) -> Iterator[Use]:
    """What an expression does with each of its sources.

    Args:
        variable: What it makes.
        expression: The expression.
        shapes: Shape of each source by its pattern.
        sizes: Sizes by name: of its axes, and those that bounds of slices are given by; see
            :attr:`remap.layout.recipe.Recipe.sizes`.

    Raises:
        InvertError: It does more than move numbers about.
    """
    _refuse(variable, expression)
    listed = expression.sources if isinstance(expression.sources, list) else [expression.sources]
    sources = [SourcePart(source) if isinstance(source, str) else source for source in listed]
    apart = len(sources) > 1 and expression.concat is None
    stack = [expression.stack] if expression.stack is not None else []
    if expression.axes is not None:
        axes = parse_axes(expression.axes)
    else:
        shape = (*[len(sources)] * apart, *[sizes[name] for name in stack], *shapes[sources[0].tensor])
        axes = plain_axes(len(shape), expression.stack, apart)
        sizes = {**sizes, **dict(zip(axes.names, shape, strict=True))}
    if axes.new:
        raise InvertError(Irreversible.REPEAT, ", ".join(axes.new))
    lead = axes.left[: apart + len(stack)]
    if any(len(group) != 1 for group in lead):
        raise InvertError(Irreversible.UNEVEN, f"the stacked axis of {axes.text}")
    position = 0
    for number, part in enumerate(sources):
        within: dict[str, Indices] = {axes.left[0][0]: number} if apart else {}
        left = axes.left[len(lead) :]
        left, covers, alone = _own(part, left, sizes, expression.concat)
        if expression.concat is not None:
            length = _length(part, alone, axes, len(lead), shapes, sizes, expression.concat)
            within[expression.concat] = position if alone else tuple(range(position, position + length))
            position += length
        use = Use(variable, (part.tensor, -1), left, axes.right, within, covers, {}, (), expression, sizes)
        use = _taken(use, axes)
        for index in range(sizes[stack[0]]) if stack else ():
            yield _ordered(replace(use, source=(part.tensor, index), within={**use.within, lead[-1][0]: index}))
        if not stack:
            yield _ordered(use)


def _refuse(variable: SourceSlot, expression: Expression) -> None:
    wrong = {
        Irreversible.OPERATION: expression.op is not None,
        Irreversible.CALL: expression.call is not None,
        Irreversible.SUM: expression.reduce is not None,
        Irreversible.REPEAT: bool(expression.repeat),
        Irreversible.GAMMA: expression.batchnorm == "variance_without_gamma",
        Irreversible.COMPLEX: expression.complex_part is not None,
        Irreversible.ZERO: expression.scale == 0.0,
    }
    for code, applies in wrong.items():
        if applies:
            raise InvertError(code, variable[0])


def plain_axes(rank: int, stack: str | None, apart: bool) -> Axes:
    """A pattern that leaves every axis where it is."""
    names = [f"x{axis}" for axis in range(rank)]
    if stack is not None:
        names[int(apart)] = stack
    return parse_axes(f"{' '.join(names)} -> {' '.join(names)}")


def _own(
    part: SourcePart, left: Groups, sizes: Mapping[str, int], concat: str | None
) -> tuple[Groups, dict[str, Indices], bool]:
    """A source's axes in the expression's elementary axes, what of it is taken, and whether it is one entry of the
    joined axis, which it lacks."""
    if part.axes is None:
        return left, {}, False
    if part.sizes or any(map(is_group, part.take)):
        raise InvertError(Irreversible.UNLIKE, f"axes of {part.tensor}")
    own = parse_axes(part.axes)
    covers: dict[str, Indices] = {}
    names: dict[str, AxisGroup] = {}
    right = own.right
    for name, text in part.take.items():
        index = bounded(text, sizes[name], name, sizes)
        covers[name] = index if isinstance(index, int) else tuple(index)
        if isinstance(index, int):
            right, names[name] = drop(right, name), (name,)
    alone = False
    for inner, outer in zip(right, left, strict=True):
        if len(inner) > 1 or (not inner and outer not in ((), (concat,))):
            raise InvertError(Irreversible.UNLIKE, f"axes of {part.tensor}")
        alone = alone or (not inner and outer == (concat,))
        names |= {inner[0]: outer} if inner else {}
    groups = tuple(tuple(each for name in group for each in names[name]) for group in own.left)
    return groups, {names[name][0]: index for name, index in covers.items()}, alone


def _length(
    part: SourcePart,
    alone: bool,
    axes: Axes,
    lead: int,
    shapes: Mapping[str, Shape],
    sizes: Mapping[str, int],
    concat: str,
) -> int:
    """How many entries of the joined axis a source has."""
    if alone:
        return 1
    axis = next(number for number, group in enumerate(axes.left) if group[:1] == (concat,))
    inner = prod(sizes[name] for name in axes.left[axis][1:])
    shape = shapes[part.tensor]
    if part.axes is not None:
        own = parse_axes(part.axes)
        known = own.solve(shape, {name: size for name, size in sizes.items() if name != concat})
        size = prod(known[name] for name in own.right[axis - lead])
    else:
        size = shape[axis - lead]
    if size % inner:
        raise InvertError(Irreversible.UNEVEN, concat)
    return size // inner


def _taken(use: Use, axes: Axes) -> Use:
    """With the expression's take, order and flip; an order of what is taken is part of it."""
    covers, right = dict(use.covers), use.right
    orders = {name: tuple(order) for name, order in use.expression.order.items()}
    flips = list(use.expression.flip)
    for name, text in use.expression.take.items():
        index = bounded(text, use.sizes[name], name, use.sizes)
        if name in use.within or name in covers:
            raise InvertError(Irreversible.UNLIKE, f"{name} of {axes.text}")
        if isinstance(index, int):
            covers[name], right = index, drop(right, name)
            continue
        taken: Sequence[int] = [index[j] for j in orders.pop(name, range(len(index)))]
        if name in flips:
            flips.remove(name)
            taken = taken[::-1]
        if sorted(taken) == list(range(use.sizes[name])):
            orders[name] = tuple(taken)
        else:
            covers[name] = tuple(taken)
    return replace(use, covers=covers, right=right, orders=orders, flips=tuple(flips))


def _ordered(use: Use) -> Use:
    """With the orders of a joined axis put into the place that the tensor has on it."""
    within, orders, flips = dict(use.within), dict(use.orders), list(use.flips)
    for name, place in use.within.items():
        order = orders.pop(name, tuple(range(use.sizes[name])))
        if name in flips:
            flips.remove(name)
            order = order[::-1]
        at = inverse_order(order)
        within[name] = at[place] if isinstance(place, int) else tuple(at[index] for index in place)
    return replace(use, within=within, orders=orders, flips=tuple(flips))


def inverse_order(order: Sequence[int]) -> tuple[int, ...]:
    """The order that undoes an order.

    >>> inverse_order([2, 0, 1])
    (1, 2, 0)
    """
    return tuple(sorted(range(len(order)), key=order.__getitem__))
