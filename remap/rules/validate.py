"""What is wrong with a rule file by itself, before any checkpoint is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from remap.errors import Problem
from remap.layout.expression import source_patterns
from remap.layout.ops import OPERATIONS
from remap.rules.expression import (
    captures,
    expression_problems,
    fault,
    operation_problems,
    pattern_problems,
    sized_axes,
    unknown,
)
from remap.rules.pattern import PatternError, captures_of
from remap.rules.place import Place
from remap.rules.rulefile import RAW, Rule, RuleFile
from remap.rules.schema import Derive, Param, Rename
from remap.rules.split import split_problems
from remap.rules.template import TemplateError, parse_template

_BRACES = re.compile(r"\{[^}]*\}")
_PARAM_SOURCE = re.compile(r"[^:]+:[^:]+")


def validate(rules: RuleFile) -> list[Problem]:
    """Every mistake that can be seen in the rules alone."""
    problems: list[Problem] = []
    for name, place in rules.layout_places.items():
        if name == RAW:
            problems.append(fault(f"no layout can be called '{RAW}'", place, fix=f"[move.{RAW}] moves single tensors"))
        for variable, expression in rules.layouts[name].items():
            problems += expression_problems(expression, place.of(variable), rules.params)
    for rename in rules.renames:
        problems += _rename(rename, rules)
    for pattern, place in _plain_patterns(rules):
        problems += pattern_problems(pattern, place)
    for derive in rules.derives:
        problems += _derive(derive, rules)
    for name, param in rules.params.items():
        problems += _param(name, param, rules)
    for policy in dict.fromkeys([rules.batchnorm, *(rename.batchnorm for rename in rules.renames)]):
        epsilon = policy.source_epsilon
        if isinstance(epsilon, str) and epsilon not in rules.params:
            problems.append(
                Problem(
                    f"no parameter is called '{epsilon}'",
                    str(rules.path),
                    f'source_epsilon = "{epsilon}"',
                    f"a number, or one of: {', '.join(rules.params) or 'it has no parameters'}",
                )
            )
    return problems


def _param(name: str, param: Param, rules: RuleFile) -> Iterator[Problem]:
    where = f"{rules.path} [params.{name}]"
    if param.source is not None and not _PARAM_SOURCE.fullmatch(param.source):
        yield Problem(
            f"parameter '{name}' is read from nowhere",
            str(rules.path),
            found=f'from = "{param.source}"',
            expected='a file and a key in it: "config.json:num_attention_heads"',
        )
    for pattern in [*param.keys, *([] if param.target is None else [param.target])]:
        try:
            names = captures_of(pattern)
        except PatternError as error:
            yield Problem("invalid regular expression", where, found=f"'{pattern}': {error}")
            continue
        if pattern == param.target and len(names) != 1:
            yield Problem(
                f"'target' of a parameter captures {'nothing' if not names else ', '.join(names)}",
                where,
                found=f"'{pattern}'",
                expected=f"one capture: (?P<{name}>...)",
            )


def _plain_patterns(rules: RuleFile) -> list[tuple[str, Place]]:
    patterns = [(rule.spec.match, rule.place.of("match")) for rule in rules.ignores]
    patterns += [(rule.spec.match, rule.place.of("match")) for rule in rules.keeps]
    return patterns + [(rule.spec.match, rule.place.of("match")) for rule in rules.fills]


def _rename(rule: Rule[Rename], rules: RuleFile) -> Iterator[Problem]:
    spec, place = rule.spec, rule.place
    invalid = list(pattern_problems(spec.match, place.of("match")))
    yield from invalid
    if not spec.to and (spec.layout is None or isinstance(spec.to, list)):
        yield fault("a rule writes nothing", place.of("to"), expected="a Keras layer or variable")
    if spec.layout == RAW:
        yield fault(
            f"unknown layout '{RAW}'",
            place.of("layout"),
            RAW,
            fix="leave 'layout' out: a rule without one moves a single tensor",
        )
        return
    if spec.layout is not None and spec.layout not in rules.layouts:
        yield unknown(f"unknown layout '{spec.layout}'", spec.layout, [*rules.layouts, RAW], place.of("layout"))
        return
    layout = rules.layout_of(spec)
    if not layout:  # its mistakes are reported, and would explain what follows
        return
    if spec.layout is None:
        yield from expression_problems(layout[""], place, rules.params)
    elif spec.axes or spec.take or spec.order or spec.complex_part:
        word = next(w for w in ("axes", "take", "order", "complex_part") if getattr(spec, w)).removesuffix("_part")
        yield fault(
            "'axes', 'take', 'order' and 'complex' belong to a rule without a layout",
            place.of(word),
            fix="move the tensor alone, under [move.tensor], or put them into a layout of your own, [layouts.NAME]",
        )
    if spec.split:
        yield from split_problems(spec, layout, place)
    yield from _fill(rule, rules)
    axes = {axis for expression in layout.values() for axis in sized_axes(expression)}
    for axis in spec.sizes if spec.layout is not None else ():
        if axis not in axes:
            yield unknown(f"no axis or setting of the layout is called '{axis}'", axis, sorted(axes), place.of("sizes"))
    inner = {name for expression in layout.values() for p in source_patterns(expression) for name in captures(p)}
    stacked = {expression.stack for expression in layout.values() if expression.stack}
    own = set(captures(spec.match))
    for name in sorted(own & inner):
        yield fault(
            f"capture '{name}' stands in the rule and in its layout",
            place.of("match"),
            name,
            fix="give one of them another name",
        )
    if invalid:  # what it captures is not known
        return
    known = own | (inner - stacked) | set(rules.params)
    if isinstance(spec.to, str):
        yield from _template(spec.to, known, rules, place.of("to"))
    else:
        for i, to in enumerate(spec.to):
            yield from _template(to, known, rules, place.of("to", i))


def _fill(rule: Rule[Rename], rules: RuleFile) -> Iterator[Problem]:
    spec = rule.spec
    layout = rules.layout_of(spec)
    if spec.layout is None:
        if spec.fill:
            yield fault(
                "'fill' belongs to a rule with a layout",
                rule.place.of("fill"),
                fix="[fill] sets a variable that no tensor is for",
            )
        return
    for i, variable in enumerate(spec.fill):
        place = rule.place.of("fill", i)
        if variable not in layout:
            yield unknown(f"layout '{spec.layout}' has no variable '{variable}' to fill", variable, layout, place)
        elif layout[variable].fill is None or layout[variable].like is None:
            yield fault(
                f"layout '{spec.layout}' does not say how to fill '{variable}'",
                place,
                expected=f'{variable} = {{ ..., fill = "zeros", like = "weight" }}',
            )


def _derive(rule: Rule[Derive], rules: RuleFile) -> Iterator[Problem]:
    spec, place = rule.spec, rule.place
    if bool(spec.op) == bool(spec.call):
        yield fault(
            "a tensor is derived by an operation or by a function",
            place,
            found="both" if spec.op else "neither",
            expected='op = "NAME" or call = "module:function"',
        )
    elif spec.op:
        yield from operation_problems(spec.op, spec.options, place)
    elif spec.options:
        yield fault("'options' are settings of an operation", place.of("options"), fix="give them in the function")
    for name in spec.keep:
        if name not in spec.sources:
            yield unknown(f"'keep' names no input '{name}'", name, spec.sources, place.of("keep"))
    if spec.op in OPERATIONS:
        operation = OPERATIONS[spec.op]
        for name in spec.sources:
            if name not in operation.inputs:
                yield unknown(f"operation '{spec.op}' has no input '{name}'", name, operation.inputs, place.of("from"))
        missing = [name for name in operation.inputs if name not in {*spec.sources, *operation.optional}]
        if missing:
            yield fault(
                f"operation '{spec.op}' needs more inputs",
                place.of("from"),
                found=", ".join(spec.sources),
                expected=f"also {', '.join(missing)}",
            )
    invalid = [p for name, text in spec.sources.items() for p in pattern_problems(text, place.of("from", name))]
    yield from invalid
    if invalid:
        return
    captured = {name for pattern in spec.sources.values() for name in captures(pattern)}
    yield from _template(spec.to, captured | set(rules.params), rules, place.of("to"))


def _template(text: str, names: set[str], rules: RuleFile, place: Place) -> Iterator[Problem]:
    try:
        template = parse_template(text)
    except TemplateError as error:
        yield fault("invalid template", place, text, f"'{text}': {error}")
        return
    for name in sorted(template.names - names):
        braces = next(part for part in _BRACES.findall(text) if name in re.split(r"\W+", part))
        close = get_close_matches(name, sorted(names), n=1, cutoff=0.5)
        yield fault(
            "a template names no capture",
            place,
            braces,
            found=f"{{{name}}} in '{text}'",
            expected=f"one of: {', '.join(sorted(names))}" if names else "no capture: 'match' captures nothing",
            fix=f"did you mean '{close[0]}'?" if close else "",
        )
    for table in sorted(template.tables - set(rules.tables)):
        yield unknown(f"there is no [tables.{table}]", table, rules.tables, place)
