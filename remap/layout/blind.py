"""Why the shape of a variable would be the same by another layout, so that it proves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from remap.layout.axes import parse_axes
from remap.layout.expression import Expression


class BlindCause(Enum):
    """What a wrong layout could do without another shape."""

    EQUAL_AXES = "axes of one size"
    SPLIT = "split or merged axis"
    TAKE = "take"
    ORDER = "order"
    FLIP = "flip"
    SUM = "sum"
    JOINED = "joined tensors of one shape"
    ARITHMETIC = "arithmetic"
    SAME_SHAPE = "same shape as another variable of the layer"


@dataclass(frozen=True, slots=True)
class Blindness:
    """One cause, and the axes, tensors or variables that it is about.

    Args:
        cause: The cause.
        text: It and what it is about, in words.
    """

    cause: BlindCause
    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def heading(self) -> str:
        """What variables are counted under."""
        numbered = self.cause in (BlindCause.EQUAL_AXES, BlindCause.SPLIT, BlindCause.SAME_SHAPE)
        return self.cause.value if numbered else self.text


def blindness(expression: Expression, shapes: Sequence[tuple[int, ...]], sizes: Mapping[str, int]) -> Blindness | None:
    """Why another expression would give the same shape; None where none would.

    Axes of one size can be exchanged; a split or merged axis can be cut otherwise; another order, another part, other
    numbers have the same shape, and so have joined or summed tensors in another sequence or number.
    """
    if expression.axes is not None:
        axes = parse_axes(expression.axes)
        names = [name for name in axes.names if sizes[name] > 1]
        equal = sorted({name for name in names for other in names if name != other and sizes[name] == sizes[other]})
        if equal:
            return Blindness(BlindCause.EQUAL_AXES, f"axes of one size: {', '.join(equal)}")
        parts = [group for group in (*axes.left, *axes.right) if sum(sizes[name] > 1 for name in group) > 1]
        if parts:
            return Blindness(BlindCause.SPLIT, f"split or merged axis: ({' '.join(parts[0])})")
    words = (
        (BlindCause.TAKE, expression.take),
        (BlindCause.ORDER, expression.order),
        (BlindCause.FLIP, expression.flip),
    )
    for cause, axes_of in words:
        if axes_of:
            return Blindness(cause, f"{cause.value} of {', '.join(axes_of)}")
    if len(shapes) > 1 and expression.reduce is not None:
        return Blindness(BlindCause.SUM, f"sum of {len(shapes)} tensors")
    if len(set(shapes)) < len(shapes):
        return Blindness(BlindCause.JOINED, BlindCause.JOINED.value)
    if expression.scale != 1.0 or expression.add != 0.0:
        return Blindness(BlindCause.ARITHMETIC, BlindCause.ARITHMETIC.value)
    return None
