"""Variables that nothing moves into: set to a constant or kept as they are, as a rule file says."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import numpy as np

from remap.errors import Problem
from remap.inventory.inventory import Inventory, Variable
from remap.layout.recipe import constant
from remap.layout.tiles import Source, Value, whole
from remap.planning.batchnorm import constant_source
from remap.planning.identity import identity_values
from remap.planning.plan import Assignment, Kind
from remap.planning.values import number_of
from remap.rules.pattern import Patterns
from remap.rules.place import Place
from remap.rules.rulefile import IncludedPart, Rule, RuleFile
from remap.rules.schema import Constant, FillRule, Keep
from remap.tensors.dtypes import dtype_of

Initial = Callable[[Variable], np.ndarray]
"""The value that a variable of a freshly built model starts with."""


def settled_variables(
    rules: RuleFile,
    parts: Container[IncludedPart],
    variables: Sequence[Variable],
    target: Inventory,
    dtype: np.dtype | None,
    initial: Initial | None,
    problems: list[Problem],
) -> list[Assignment]:
    """What ``[keep]`` and ``[fill]`` make of the variables that nothing moves into."""
    settling: list[Rule[Keep] | Rule[FillRule]] = [*rules.keeps, *rules.fills]
    patterns = Patterns(rule.spec.match for rule in settling)
    fired: set[int] = set()
    made = []
    for variable in variables:
        hits = sorted({*patterns.match(variable.path), *patterns.match(variable.address)})
        fired.update(hits)
        if len(hits) > 1:
            places = ", ".join(str(settling[hit].place) for hit in hits)
            problems.append(
                Problem("several rules settle one variable", variable.path, places, "one rule", names=(variable.path,))
            )
        elif hits:
            made.append(_settle(settling[hits[0]], variable, target, dtype, initial, problems))
    for index, rule in enumerate(settling):
        if index not in fired and not rule.spec.optional and (rule.part is None or rule.part in parts):
            problems.append(
                Problem(
                    "a rule matches no variable that is left",
                    place=rule.place,
                    fix="check the pattern, or say optional = true",
                    excerpt=rule.place.of("match").excerpt(),
                )
            )
    return [assignment for assignment in made if assignment is not None]


def _settle(
    rule: Rule[Keep] | Rule[FillRule],
    variable: Variable,
    target: Inventory,
    dtype: np.dtype | None,
    initial: Initial | None,
    problems: list[Problem],
) -> Assignment | None:
    own = dtype_of(variable.dtype)
    spec = rule.spec
    if isinstance(spec, FillRule):
        filled = _filled(rule.place, spec.value, variable, target, problems)
        if filled is None:
            return None
        value = filled
    elif variable.initial is not None:
        value = Value(constant(variable.shape, variable.initial, own), ())
    elif initial is not None:
        source: Source = constant_source(f"initial {variable.path}", initial(variable), own)
        value = whole(source)
    else:
        problems.append(
            Problem(
                "a kept variable does not start with a constant",
                variable.path,
                expected="the model itself",
                names=(variable.path,),
                fix="give --model, so that its initial value can be read",
            )
        )
        return None
    kind: Kind = "filled" if isinstance(spec, FillRule) else "kept"
    return Assignment(variable.path, value, dtype or own, kind, rule.place, variable=variable, reason=spec.reason)


def _filled(
    place: Place, given: Constant, variable: Variable, target: Inventory, problems: list[Problem]
) -> Value | None:
    """A variable of one constant, or of a list of numbers."""
    own = dtype_of(variable.dtype)
    if isinstance(given, list):
        if (len(given),) == variable.shape:
            return whole(constant_source(f"'value' of {place}", given, own))
        problems.append(
            Problem(
                "a list of numbers does not fit the variable",
                found=f"{len(given)} numbers",
                expected=f"shape {variable.shape}",
                excerpt=place.excerpt("value"),
                place=place,
                subject=variable.path,
                names=(variable.path,),
            )
        )
        return None
    filling = identity_values(variable, target) if given == "identity" else number_of(given)
    if isinstance(filling, np.ndarray):
        return whole(constant_source(f"identity for {variable.path}", filling, own))
    if filling is not None:
        return Value(constant(variable.shape, filling, own), ())
    problems.append(
        Problem(
            "the variable cannot be made the identity",
            found=variable.path,
            expected="a BatchNormalization, or a Dense or convolution with as many channels after as before",
            fix='value = "zeros", "ones" or a number',
            place=place,
            names=(variable.path,),
        )
    )
    return None
