"""Casts that would lose data, told from headers: complex numbers into real ones, floats into what is quantised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import ml_dtypes
import numpy as np

from remap.errors import Problem
from remap.layout.tiles import Source
from remap.planning.derived import Derived, leaves
from remap.planning.operate import Operated
from remap.planning.plan import Assignment
from remap.planning.suggest import grouped
from remap.rules.place import Place
from remap.tensors.dtypes import is_float

QUANTISED = ("int8", "uint8")
"""Element types of variables that a quantised layer keeps its weights in."""
COMPLEX = 'complex = "real" or "imag" takes one part, complex = "axis" both as a last axis of size 2'


def cast_problems(assignments: Iterable[Assignment]) -> Iterator[Problem]:
    """Casts of assignments that are refused, those of one rule and one kind together."""
    faults: dict[tuple[Place, str, str, str], list[Assignment]] = {}
    for assignment in assignments:
        told = _fault(assignment)
        if told is not None:
            faults.setdefault((assignment.place, *told), []).append(assignment)
    for (place, what, dtypes, fix), members in faults.items():
        names = [assignment.name for assignment in members]
        patterns = [f"{p} ({len(own)})" if len(own) > 1 else p for p, own in grouped(names)]
        yield Problem(
            what,
            found=f"{', '.join(patterns)}: {dtypes}",
            fix=fix,
            excerpt=place.of("match").excerpt(),
            place=place,
            names=tuple(dict.fromkeys([*names, *(name for assignment in members for name in assignment.sources)])),
        )


def _fault(assignment: Assignment) -> tuple[str, str, str] | None:
    """What is wrong with one assignment's cast, its element types, and the fix; None where nothing is."""
    made, written = assignment.value.recipe.dtype, assignment.dtype
    if made.kind == "c" and written.kind != "c":
        into = f"{made.name} into {written.name}"
        return "complex numbers do not fit a variable of real ones", into, f"in the rule or its layout, {COMPLEX}"
    if any(_is_operated(source) and _of_complex(source) for source in assignment.value.sources):
        return "a named operation computes with real numbers", f"{made.name} of a complex tensor", COMPLEX
    if written.itemsize == 1 and assignment.kind == "moved" and written.name in QUANTISED and is_float(made):
        fix = "convert first, quantise after: give the model as it is before model.quantize(...)"
        return "floats do not fit a variable that is quantised", f"{made.name} into {written.name}", fix
    return None


def _is_operated(source: Source) -> bool:
    return isinstance(source, Derived) and isinstance(source.computation, Operated)


def _of_complex(source: Source) -> bool:
    return any(leaf.dtype.kind == "c" for leaf in leaves(source))


def whole_numbers_held(made: np.dtype, written: np.dtype) -> int | None:
    """The largest power of 2 up to which a float type holds every whole number of an integer type; None where all fit.

    >>> whole_numbers_held(np.dtype("i4"), np.dtype("f4")), whole_numbers_held(np.dtype("i2"), np.dtype("f4"))
    (16777216, None)
    """
    if made.kind not in "iu" or not is_float(written):
        return None
    held: int = 2 ** (ml_dtypes.finfo(written).nmant + 1)  # type: ignore[no-untyped-call]
    return held if int(np.iinfo(made).max) > held else None
