"""Making a plan: rules, checkpoint and target joined, both sides of the account closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from remap.collector import collector_off
from remap.errors import PlanError, Problem
from remap.inventory.inventory import Inventory, Variable
from remap.inventory.match import VariableNames
from remap.planning.account import source_problems, target_problems, unnamed_problems
from remap.planning.assign import Assigner
from remap.planning.casts import cast_problems
from remap.planning.derive import derive_tensors
from remap.planning.derived import leaves
from remap.planning.epsilon import Epsilons
from remap.planning.gather import gathered
from remap.planning.left_alone import quantized_problem, skipped_problems
from remap.planning.match import Claims, match_keys
from remap.planning.meant import MeantRules
from remap.planning.operate import Caller
from remap.planning.params import Scalar, resolve_params
from remap.planning.plan import Assignment, Ignored, Plan
from remap.planning.prefix import prefix_fault, prefix_problem, renamed
from remap.planning.settle import Initial, settled_variables
from remap.planning.values import Values
from remap.planning.warn import plan_warnings
from remap.rules.pattern import PatternError
from remap.rules.rulefile import RuleFile
from remap.tensors.dtypes import dtype_of
from remap.tensors.tensor import Checkpoint


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
        moved += settled_variables(rules, assigner.parts, rest, target, element, initial, problems)
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
