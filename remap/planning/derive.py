"""``[[derive]]``: tensors computed from others before any other rule sees them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from remap.errors import PlanError, Problem, ProblemCode
from remap.layout.ops import OPERATIONS
from remap.layout.tiles import Source
from remap.planning.operate import Caller, code_refused, operate
from remap.planning.params import Scalar
from remap.rules.pattern import Patterns
from remap.rules.rulefile import Rule, RuleFile
from remap.rules.schema import Derive
from remap.rules.template import TemplateError, parse_template
from remap.tensors.tensor import Checkpoint

Instance = dict[str, str]
"""Input of an operation to the key that it is read from."""


def derive_tensors(
    rules: RuleFile, checkpoint: Checkpoint, params: Mapping[str, Scalar], caller: Caller
) -> tuple[dict[str, Source], tuple[str, ...], list[Problem]]:
    """The tensors that the other rules see.

    Returns:
        Tensors by key: the checkpoint's without those that were used up, and the derived ones; the keys
        that were used up; problems.

    Raises:
        PlanError: A function of the user's is to be called, and that is not allowed.
    """
    if refused := [rule for rule in rules.derives if rule.spec.call and not caller.allowed]:
        raise PlanError(code_refused(rule.spec.call, place=rule.place) for rule in refused)
    tensors: dict[str, Source] = dict(checkpoint)
    problems: list[Problem] = []
    derived: dict[str, Source] = {}
    consumed: dict[str, None] = {}
    for rule in rules.derives:
        instances = _instances(rule, checkpoint)
        if not instances and not rule.spec.optional and rule.part is None:
            problems.append(
                Problem(
                    ProblemCode.IDLE_RULE.value,
                    fix="check the patterns, or say optional = true",
                    excerpt=rule.place.of("from").excerpt(),
                    code=ProblemCode.IDLE_RULE,
                    place=rule.place,
                )
            )
        for captures, instance in instances:
            try:
                name = parse_template(rule.spec.to).fill({**_texts(params), **captures}, rules.tables)
                made = _derive(rule, instance, checkpoint, name, caller)
            except TemplateError as error:
                problems.append(Problem("a template cannot be filled", found=str(error), place=rule.place))
                continue
            except PlanError as error:
                problems += error.problems
                continue
            if name in derived:
                problems.append(Problem("a tensor is derived twice", place=rule.place, subject=name, names=(name,)))
            derived[name] = made
            consumed.update({key: None for role, key in instance.items() if role not in rule.spec.keep})
    for key in consumed:
        del tensors[key]
    problems += [
        Problem(
            "a derived tensor takes the name of one that is there",
            name,
            fix="change 'to', or use it up too",
            names=(name,),
        )
        for name in derived
        if name in tensors
    ]
    return {**tensors, **derived}, tuple(consumed), problems


def _instances(rule: Rule[Derive], checkpoint: Checkpoint) -> list[tuple[dict[str, str], Instance]]:
    """The sets of keys that the rule's patterns match with the same captures."""
    names = list(rule.spec.sources)
    patterns = Patterns(rule.spec.sources.values())
    instances: dict[tuple[tuple[str, str], ...], Instance] = {}
    for key in checkpoint:
        for hit in patterns.match(key):
            captures = tuple(sorted(patterns.captures(hit, key).items()))
            instances.setdefault(captures, {})[names[hit]] = key
    return [(dict(captures), instance) for captures, instance in instances.items()]


def _derive(rule: Rule[Derive], instance: Instance, checkpoint: Checkpoint, name: str, caller: Caller) -> Source:
    spec = rule.spec
    inputs = {key: checkpoint[instance[key]] for key in spec.sources if key in instance}
    if spec.call:
        return caller.call(spec.call, list(inputs.values()), rule.place, name, name)
    if spec.op not in OPERATIONS:
        close = get_close_matches(spec.op, list(OPERATIONS), n=1)
        raise PlanError(
            f"unknown operation '{spec.op}'",
            place=rule.place,
            expected=f"one of: {', '.join(OPERATIONS)}",
            fix=f"did you mean '{close[0]}'?" if close else "",
            excerpt=rule.place.excerpt(spec.op),
        )
    return operate(spec.op, inputs, spec.options, name, rule.place, name)


def _texts(params: Mapping[str, Scalar]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items()}
