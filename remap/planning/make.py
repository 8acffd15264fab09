"""Making a plan: rules, checkpoint and target joined, both sides of the account closed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from remap.collector import collector_off
from remap.errors import PlanError, Problem
from remap.inventory.inventory import Inventory, Variable
from remap.inventory.match import VariableNames
from remap.layout.recipe import constant
from remap.layout.tiles import Source, Value, whole
from remap.planning.account import (
    quantized_problem,
    skipped_problems,
    source_problems,
    target_problems,
    unnamed_problems,
)
from remap.planning.assign import Assigner
from remap.planning.batchnorm import constant_source
from remap.planning.casts import cast_problems
from remap.planning.derive import derive_tensors
from remap.planning.derived import leaves
from remap.planning.epsilon import Epsilons
from remap.planning.gather import gathered
from remap.planning.identity import identity_values
from remap.planning.match import Claims, match_keys
from remap.planning.meant import MeantRules
from remap.planning.operate import Caller
from remap.planning.params import Scalar, resolve_params
from remap.planning.plan import Assignment, Ignored, Kind, Plan
from remap.planning.prefix import prefix_fault, prefix_problem, renamed
from remap.planning.values import Values, number_of
from remap.planning.warn import plan_warnings
from remap.rules.pattern import PatternError, Patterns
from remap.rules.place import Place
from remap.rules.rulefile import IncludedPart, Rule, RuleFile
from remap.rules.schema import Constant, FillRule, Keep
from remap.tensors.dtypes import dtype_of
from remap.tensors.tensor import Checkpoint

Initial = Callable[[Variable], np.ndarray]
"""The value that a variable of a freshly built model starts with."""


def make_plan(
    rules: RuleFile,
    checkpoint: Checkpoint,
    target: Inventory | None = None,
    *,
    params: Mapping[str, Scalar] | None = None,
    dtype: str | None = None,
    initial: Initial | None = None,
    allow_code: bool = False,
    epsilons: Mapping[str, float] | None = None,
) -> Plan:
    """Join rules, checkpoint and target, from headers alone.

    Args:
        rules: The rule file.
        checkpoint: The source.
        target: The Keras model's variables; without it, what is written is what the rules say.
        params: Values for the rule file's parameters.
        dtype: Element type of every variable written, instead of the target's or the source's.
        initial: Where the values of kept variables come from that do not start with a constant.
        allow_code: Whether the rule file may call functions of the user's.
        epsilons: Epsilons of the PyTorch network's own modules by path, where it is at hand.

    Raises:
        PlanError: The account does not close; every reason that was found, at once.
    """
    with collector_off():
        draft = draft_plan(rules, checkpoint, target, params or {}, dtype, initial, allow_code, epsilons)
        if draft.problems:
            raise PlanError(draft.problems)
        return plan_warnings(draft.plan, epsilons or {})


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan before its account is closed.

    Args:
        plan: What could be planned.
        problems: Why it is no plan yet; empty where it is one.
        claims: Which rule claims which source tensor.
    """

    plan: Plan
    problems: tuple[Problem, ...]
    claims: Claims


def draft_plan(
    rules: RuleFile,
    checkpoint: Checkpoint,
    target: Inventory | None,
    params: Mapping[str, Scalar],
    dtype: str | None = None,
    initial: Initial | None = None,
    allow_code: bool = False,
    epsilons: Mapping[str, float] | None = None,
    mending: bool = True,
) -> Draft:
    """What :func:`make_plan` makes, whether its account closes or not.

    Args:
        rules: See :func:`make_plan`, as the others.
        checkpoint: The source.
        target: The Keras model's variables.
        params: Values for parameters.
        dtype: Element type of every variable written.
        initial: Values of kept variables.
        allow_code: Whether the rule file may call functions of the user's.
        mending: Whether a prefix that explains problems is looked for.

    Raises:
        PlanError: A parameter cannot be read, or a pattern takes too long.
    """
    try:
        values = resolve_params(rules, params, checkpoint.path, checkpoint, target)
        caller = Caller(allow_code)
        tensors, consumed, problems = derive_tensors(rules, checkpoint, values, caller)
        claims = match_keys(rules, tensors, values)
    except PatternError as error:
        raise PlanError("a pattern takes too long", where=str(rules.path), found=str(error)) from error
    compared = Epsilons(target, values, epsilons or {})
    names = VariableNames(target) if target is not None else None
    element = dtype_of(dtype) if dtype is not None else None
    made = Values(tensors, values, compared, caller, target)
    problems += unnamed_problems(claims)
    assigner = Assigner(made, names, element, problems)
    moved = list(assigner.assign(claims.links))
    compared.look_at(moved)
    problems += [*compared.problems(), *cast_problems(moved)]
    problems += source_problems(claims, list(tensors), _unused(claims, moved, assigner.left, problems))
    if target is not None:
        rest = _leftover(target.variables, moved)
        moved += _settled(rules, assigner.parts, rest, target, element, initial, problems)
        moved = _in_order(target.variables, moved)
    elif rules.fills:
        problems.append(
            Problem(
                "[fill] sets variables of a model, and none is given",
                place=rules.fills[0].place,
                fix="give --model or --target",
            )
        )
    meant = MeantRules(rules, claims, problems, names)
    problems += target_problems(moved, target.variables if target else (), claims.unclaimed, rules, meant)
    if problems:
        problems += quantized_problem(checkpoint.skipped)
        problems += skipped_problems(checkpoint.skipped, rules)
    problems = gathered(problems)
    fault = prefix_fault(rules, tensors, claims) if problems and mending else None
    if fault is not None:
        mended = renamed(checkpoint, fault, claims.unclaimed)
        others = draft_plan(rules, mended, target, params, dtype, initial, allow_code, epsilons, mending=False).problems
        explained = len(problems) - len(others)
        problems = [prefix_problem(fault, rules, checkpoint, claims, explained), *others]
    ignored = (*(Ignored(key, rule.spec.reason, rule.place) for key, rule in claims.ignored), *assigner.left)
    plan = Plan(
        rules,
        checkpoint,
        target,
        tuple(moved),
        tuple(assigner.links),
        ignored,
        tuple(compared.mismatches.values()),
        params=values,
        derived_from=consumed,
    )
    return Draft(plan, tuple(problems), claims)


def _unused(
    claims: Claims, moved: Iterable[Assignment], left: Iterable[Ignored], problems: Sequence[Problem]
) -> list[str]:
    """Keys that rules claim and no variable is made from; not told beside other problems, which explain them."""
    if problems:
        return []
    used = {leaf.name for assignment in moved for source in assignment.value.sources for leaf in leaves(source)}
    used |= {source.name for assignment in moved for source in assignment.value.sources}
    used |= {ignored.name for ignored in left}
    claimed = dict.fromkeys(key for link in claims.links for key in link.claimed())
    return [key for key in claimed if key not in used]


def _leftover(variables: Iterable[Variable], moved: Iterable[Assignment]) -> list[Variable]:
    written = {assignment.name for assignment in moved}
    return [variable for variable in variables if variable.path not in written]


def _in_order(variables: Iterable[Variable], moved: list[Assignment]) -> list[Assignment]:
    position = {variable.path: index for index, variable in enumerate(variables)}
    return sorted(moved, key=lambda assignment: position[assignment.name])


def _settled(
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
