"""The lines of a rule file that put a kernel's input axis into another order."""

from __future__ import annotations

from collections.abc import Sequence

from remap.layout.expression import Expression
from remap.planning.plan import Assignment
from remap.proving.numerics.reorder import Stretch

NAMES = (("i",), ("c", "s"), ("a", "b", "c"), ("a", "b", "c", "d"))
SPATIAL = ("", "w", "h w", "d h w")


def layout_lines(assignments: Sequence[Assignment], stretches: Sequence[Stretch]) -> str:
    """A layout of one's own for a Dense, a convolution or a normalisation.

    Args:
        assignments: What moves into the layer.
        stretches: How its input is made of PyTorch's.
    """
    lines = ["[layouts.own]"]
    kernels = any(len(assignment.shape) > 1 for assignment in assignments)
    for assignment in assignments:
        key = assignment.entry or assignment.name.rpartition("/")[2]
        moves = key.endswith("kernel") and "recurrent" not in key if kernels else True
        lines.append(f'"{key}" = {_line(assignment, stretches if moves else ())}')
    return "\n".join(lines)


def _line(assignment: Assignment, stretches: Sequence[Stretch]) -> str:
    """How a variable is made; in words where it is made of several tensors."""
    names = [_below(assignment, name) for name in assignment.sources]
    link = assignment.link
    expression = link.expressions.get(assignment.entry) if link is not None else None
    if len(names) != 1 or expression is None or not _plain(expression):
        return "as it was" + ", with its input in that order" * bool(stretches)
    if stretches:
        return _expression(names[0], len(assignment.value.sources[0].shape), stretches)
    return f'"{names[0]}"' if expression.axes is None else f'{{ from = "{names[0]}", axes = "{expression.axes}" }}'


def _plain(expression: Expression) -> bool:
    """Whether it does no more than bring whole axes into another order."""
    changes = (expression.take, expression.order, expression.flip, expression.stack, expression.op, expression.call)
    return not any(changes) and "(" not in (expression.axes or "") and (expression.scale, expression.add) == (1.0, 0.0)


def _below(assignment: Assignment, name: str) -> str:
    module = assignment.link.holder if assignment.link is not None else ""
    return name.removeprefix(f"{module}.")


def _expression(tensor: str, rank: int, stretches: Sequence[Stretch]) -> str:
    spatial = f" {SPATIAL[rank - 2]}" if rank > 2 else ""
    left, right = ("o ", " o") if rank > 1 else ("", "")
    front = f"{SPATIAL[rank - 2]} " if rank > 2 else ""
    if stretches[0].listed:
        order = f"order = {{ i = {list(stretches[0].listed)} }}"
        return f'{{ from = "{tensor}", axes = "{left}i{spatial} -> {front}i{right}", {order} }}'
    if len(stretches) == 1:
        one, other, sizes = _groups(stretches[0])
        return f'{{ from = "{tensor}", axes = "{left}{one}{spatial} -> {front}{other}{right}"{sizes} }}'
    parts = ", ".join(_part(tensor, left, spatial, stretch) for stretch in stretches)
    return f'{{ from = [{parts}], concat = "i", axes = "{left}i{spatial} -> {front}i{right}" }}'


def _part(tensor: str, left: str, spatial: str, stretch: Stretch) -> str:
    one, other, sizes = _groups(stretch)
    key = one if one.isidentifier() else f'"{one}"'
    take = f'take = {{ {key} = "{stretch.start}:{stretch.start + stretch.length}" }}'
    return f'{{ tensor = "{tensor}", axes = "{left}{one}{spatial} -> {left}{other}{spatial}", {take}{sizes} }}'


def _groups(stretch: Stretch) -> tuple[str, str, str]:
    """PyTorch's axis, Keras's, and the sizes that are not told by the rest.

    >>> _groups(Stretch(0, (4, 36), (1, 0)))
    ('(c s)', '(s c)', ', sizes = { c = 4 }')
    """
    if len(stretch.shape) == 1:
        return "i", "i", ""
    names = NAMES[len(stretch.shape) - 1]
    sizes = ", ".join(f"{name} = {size}" for name, size in zip(names[:-1], stretch.shape[:-1], strict=True))
    return f"({' '.join(names)})", f"({' '.join(names[axis] for axis in stretch.order)})", f", sizes = {{ {sizes} }}"
