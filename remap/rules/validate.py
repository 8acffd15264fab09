"""What is wrong with a rule file by itself, before any checkpoint is seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from remap.errors import Problem
from remap.layout.axes import AxesError, parse_axes
from remap.layout.ops import OPERATIONS, Operation
from remap.layout.take import TakeError, parse_take
from remap.rules.layouts import source_patterns
from remap.rules.pattern import PatternError, captures_of
from remap.rules.place import Place
from remap.rules.rulefile import Rule, RuleFile
from remap.rules.schema import Expression, Part, Rename
from remap.rules.template import TemplateError, parse_template


def validate(rules: RuleFile) -> list[Problem]:
    """Every mistake that can be seen in the rules alone, in the order of the file."""
    problems: list[Problem] = []
    for name, place in rules.layout_places.items():
        for variable, expression in rules.layouts[name].items():
            problems += _expression(expression, place, f"layout {name}, {variable or 'tensor'}")
    for rename in rules.renames:
        problems += _rename(rename, rules)
    for place, pattern in _plain_patterns(rules):
        problems += _pattern(pattern, place)
    for derive in rules.derives:
        problems += _operation(derive.spec.op, derive.spec.options, derive.place, str(derive.place))
        problems += [
            _unknown(f"'keep' names no input '{name}'", name, derive.spec.sources, derive.place)
            for name in derive.spec.keep
            if name not in derive.spec.sources
        ]
        for pattern in derive.spec.sources.values():
            problems += _pattern(pattern, derive.place)
        captured = {name for pattern in derive.spec.sources.values() for name in _captures(pattern)}
        problems += _template(derive.spec.to, captured | set(rules.params), rules, derive.place)
    return problems


def _plain_patterns(rules: RuleFile) -> list[tuple[Place, str]]:
    found = [(ignore.place, ignore.spec.match) for ignore in rules.ignores]
    found += [(keep.place, keep.spec.match) for keep in rules.keeps]
    return found + [(fill.place, fill.spec.match) for fill in rules.fills]


def _rename(rule: Rule[Rename], rules: RuleFile) -> Iterator[Problem]:
    spec, place = rule.spec, rule.place
    yield from _pattern(spec.match, place)
    if spec.layout is not None and spec.layout not in rules.layouts:
        yield _unknown(f"unknown layout '{spec.layout}'", spec.layout, rules.layouts, place)
        return
    if spec.layout is not None and (spec.axes or spec.take):
        yield Problem(
            "'axes' and 'take' belong to a rule without a layout", str(place),
            fix="remove 'layout', or put them into a layout of your own under [layouts.NAME]", excerpt=place.excerpt(),
        )  # fmt: skip
    layout = rules.layout_of(spec)
    if spec.layout is None:
        yield from _expression(layout[""], place, "rule")
    for variable in spec.fill:
        if variable not in layout:
            yield _unknown(f"layout '{spec.layout}' has no variable '{variable}' to fill", variable, layout, place)
        elif layout[variable].fill is None or layout[variable].like is None:
            yield Problem(f"layout '{spec.layout}' does not say how to fill '{variable}'", str(place),
                          expected=f"{variable} = {{ ..., fill = \"zeros\", like = \"weight\" }}",
                          excerpt=place.excerpt(variable))  # fmt: skip
    axes = {axis for expression in layout.values() for axis in sized_axes(expression)}
    for axis in spec.sizes:
        if axis not in axes:
            yield _unknown(f"no axis or setting of the layout is called '{axis}'", axis, dict.fromkeys(axes), place)
    inner = {name for expression in layout.values() for p in source_patterns(expression) for name in _captures(p)}
    stacked = {expression.stack for expression in layout.values() if expression.stack}
    own = set(_captures(spec.match))
    for name in sorted(own & inner):
        yield Problem(f"capture '{name}' stands in the rule and in its layout", str(place),
                      fix="give one of them another name", excerpt=place.excerpt(name))  # fmt: skip
    for to in [spec.to] if isinstance(spec.to, str) else spec.to:
        yield from _template(to, own | (inner - stacked) | set(rules.params), rules, place)


def _expression(expression: Expression, place: Place, where: str) -> Iterator[Problem]:
    at = f"{place} ({where})"
    patterns = source_patterns(expression)
    if not patterns and expression.fill is None:
        yield Problem("an expression has no source", at, expected='from = "weight", or a list', excerpt=place.excerpt())
    for pattern in patterns:
        yield from _pattern(pattern, place)
        if expression.stack is not None and expression.stack not in _captures(pattern):
            yield Problem(f"'stack' names no capture of '{pattern}'", at, found=expression.stack,
                          expected=f"one of: {', '.join(_captures(pattern)) or 'there is none'}")  # fmt: skip
    if expression.op is not None:
        yield from _operation(expression.op, expression.options, place, at)
        inputs = OPERATIONS[expression.op].inputs if expression.op in OPERATIONS else patterns
        if len(patterns) > len(inputs):
            yield Problem(f"operation '{expression.op}' has fewer inputs", at, found=f"{len(patterns)} tensors",
                          expected=", ".join(inputs))  # fmt: skip
    if expression.op and expression.call:
        yield Problem("'op' and 'call' exclude each other", at, fix="keep the one you mean")
    if expression.concat and expression.reduce:
        yield Problem("'concat' and 'reduce' exclude each other", at, fix="keep the one you mean")
    if (expression.concat or expression.reduce) and isinstance(expression.sources, str):
        yield Problem("'concat' and 'reduce' need a list of tensors", at, found=f"from = '{expression.sources}'")
    for part in expression.sources if isinstance(expression.sources, list) else []:
        if isinstance(part, Part):
            yield from _axes(part.axes, part.take, (), place, at)
    named = (*expression.order, *expression.flip, *((expression.concat,) if expression.concat else ()))
    yield from _axes(expression.axes, expression.take, named, place, at)
    yield from _repeats(expression, at)
    for axis, order in expression.order.items():
        if sorted(order) != list(range(len(order))):
            yield Problem(f"order of axis '{axis}' is no permutation", at, found=str(order),
                          expected=f"each of 0..{len(order) - 1} once")  # fmt: skip


def sized_axes(expression: Expression) -> set[str]:
    """What a rule's ``sizes`` can name: axes, and settings of an operation that are given by name.

    >>> sorted(sized_axes(Expression(axes="(h d) e -> e h d")))
    ['d', 'e', 'h']
    """
    found = {value for value in expression.options.values() if isinstance(value, str)}
    parts = expression.sources if isinstance(expression.sources, list) else []
    for text in (expression.axes, *(part.axes for part in parts if isinstance(part, Part))):
        try:
            axes = parse_axes(text) if text is not None else None
        except AxesError:
            continue
        found |= {*axes.names, *axes.new} if axes is not None else set()
    return found


def _operation(name: str, options: Mapping[str, object], place: Place, at: str) -> Iterator[Problem]:
    operation: Operation | None = OPERATIONS.get(name)
    if operation is None:
        yield _unknown(f"unknown operation '{name}'", name, OPERATIONS, place)
        return
    for option in options:
        if option not in operation.options:
            yield Problem(f"operation '{name}' has no setting '{option}'", at,
                          expected=f"one of: {', '.join(operation.options) or 'it has none'}")  # fmt: skip


def _repeats(expression: Expression, at: str) -> Iterator[Problem]:
    try:
        new = parse_axes(expression.axes).new if expression.axes else ()
    except AxesError:
        return
    for axis in new:
        if axis not in expression.repeat:
            yield Problem(f"axis '{axis}' stands only on the right of '{expression.axes}'", at,
                          fix=f"write it on the left too, or say repeat = ['{axis}']")  # fmt: skip


def _axes(
    text: str | None, take: Mapping[str, int | str], named: tuple[str, ...], place: Place, at: str
) -> Iterator[Problem]:
    for axis, index in take.items():
        try:
            parse_take(index)
        except TakeError as error:
            yield Problem(f"cannot take that of axis '{axis}'", at, found=str(error), excerpt=place.excerpt())
    if text is None:
        if take or named:
            yield Problem("'take', 'order', 'flip' and 'concat' name axes, so there must be 'axes'", at,
                          found=", ".join((*take, *named)), excerpt=place.excerpt())  # fmt: skip
        return
    try:
        axes = parse_axes(text)
    except AxesError as error:
        yield Problem("invalid axes pattern", at, found=str(error), expected="like 'o i h w -> h w i o'",
                      excerpt=place.excerpt(text))  # fmt: skip
        return
    known = (*axes.names, *axes.new)
    for name in (*take, *named):
        if name not in known:
            yield _unknown(f"'{text}' has no axis '{name}'", name, dict.fromkeys(known), place)


def _pattern(pattern: str, place: Place) -> Iterator[Problem]:
    try:
        captures_of(pattern)
    except PatternError as error:
        yield Problem("invalid regular expression", str(place), found=f"'{pattern}': {error}",
                      excerpt=place.excerpt(pattern))  # fmt: skip


def _captures(pattern: str) -> tuple[str, ...]:
    try:
        return captures_of(pattern)
    except PatternError:
        return ()


def _template(text: str, names: set[str], rules: RuleFile, place: Place) -> Iterator[Problem]:
    try:
        template = parse_template(text)
    except TemplateError as error:
        yield Problem("invalid template", str(place), found=f"'{text}': {error}", excerpt=place.excerpt(text))
        return
    for name in sorted(template.names - names):
        yield Problem("a template names no capture", str(place), found=f"{{{name}}} in '{text}'",
                      expected=f"one of: {', '.join(sorted(names)) or 'the rule captures nothing'}",
                      fix=_closest(name, names), excerpt=place.excerpt(text))  # fmt: skip
    for table in sorted(template.tables - set(rules.tables)):
        yield _unknown(f"there is no [tables.{table}]", table, rules.tables, place)


def _unknown(what: str, name: str, known: Mapping[str, object], place: Place) -> Problem:
    return Problem(what, str(place), expected=f"one of: {', '.join(known) or 'none'}", fix=_closest(name, known),
                   excerpt=place.excerpt(name))  # fmt: skip


def _closest(name: str, known: Mapping[str, object] | set[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else ""
