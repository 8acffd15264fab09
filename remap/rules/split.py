"""What is wrong with a split by itself: its axis, its parts, and the layers that they go to."""

from __future__ import annotations

from collections.abc import Iterator

from remap.errors import Problem
from remap.layout.axes import AxesError, parse_axes
from remap.layout.expression import Layout
from remap.layout.split import axes_of
from remap.rules.expression import fault, unknown
from remap.rules.place import Place
from remap.rules.schema import Rename


def split_problems(spec: Rename, layout: Layout, place: Place) -> Iterator[Problem]:
    """The mistakes of a rule that splits.

    Args:
        spec: The rule.
        layout: Its layout.
        place: Where it stands.
    """
    at = place.of("split")
    if len(spec.split) != 1:
        yield fault("a split is along one axis", at, found=", ".join(spec.split), expected="split = { o = 3 }")
        return
    ((axis, count),) = spec.split.items()
    layers = len(spec.to) if isinstance(spec.to, list) else 1
    if layers != count:
        yield fault(
            "each part of a split needs a layer of its own",
            place.of("to"),
            found=f"{layers} for {count} parts of axis '{axis}'",
            expected=f"a list of {count}, in the order of the parts",
        )
    named = {variable: _axes_of(axes_of(expression)) for variable, expression in layout.items()}
    known = list(dict.fromkeys(name for names in named.values() for name in names or ()))
    if any(names is None for names in named.values()):  # reported where it is written
        return
    if axis not in known:
        yield unknown(f"the layout has no axis '{axis}' to split", axis, known, at)
        return
    for variable, expression in layout.items():
        if axis not in (named[variable] or ()):
            yield fault(
                f"'{variable}' of the layout has no axis '{axis}' to split",
                at,
                axis,
                found=", ".join(named[variable] or ()) or "no axes with names",
                expected="an axis that all of its variables name",
                fix=f"a layout of your own, [layouts.NAME], in which '{variable}' has 'axes' that name it",
            )
        elif expression.concat == axis:
            yield fault(
                f"'{variable}' of the layout is joined along '{axis}', which cannot be split",
                at,
                axis,
                fix="a rule for each of the joined tensors",
            )


def _axes_of(text: str) -> tuple[str, ...] | None:
    """The names of axes on the left of a pattern; None where it is malformed."""
    try:
        return parse_axes(text).names if text else ()
    except AxesError:
        return None
