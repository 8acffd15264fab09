"""What is wrong with one expression by itself: its patterns, axes, steps and operation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches

from remap.errors import Problem
from remap.layout.axes import Axes, AxesError, parse_axes, parse_groups
from remap.layout.combine import is_group
from remap.layout.expression import Expression, SourcePart, like_parts, source_patterns
from remap.layout.ops import OPERATIONS
from remap.layout.take import TakeError, names_in
from remap.rules.pattern import PatternError, captures_of
from remap.rules.place import Place


def expression_problems(expression: Expression, place: Place, params: Collection[str] = ()) -> Iterator[Problem]:
    """The mistakes of an expression.

    Args:
        expression: The expression.
        place: The table that it is written in.
        params: Names of the rule file's parameters.
    """
    yield from _sources(expression, place)
    yield from _combination(expression, place)
    yield from _computation(expression, place)
    if expression.op is not None:
        yield from operation_problems(expression.op, expression.options, place)
        inputs = OPERATIONS[expression.op].inputs if expression.op in OPERATIONS else source_patterns(expression)
        if len(source_patterns(expression)) > len(inputs):
            yield fault(
                f"operation '{expression.op}' has fewer inputs",
                place.of("from"),
                found=f"{len(source_patterns(expression))} tensors",
                expected=", ".join(inputs),
            )
    for i, part in enumerate(expression.sources if isinstance(expression.sources, list) else ()):
        if isinstance(part, SourcePart):
            yield from _part(part, place.of("from", i), params)
    named = {**dict.fromkeys(expression.order, "order"), **dict.fromkeys(expression.flip, "flip")}
    if expression.concat:
        named[expression.concat] = "concat"
    yield from _axes(expression.axes, expression.take, named, place, params)
    for word, sizes in (("sizes", expression.sizes), ("infer", expression.infer)):
        known = sized_axes(expression)
        for axis in sizes:
            if axis not in known:
                yield unknown(
                    f"'{word}' names '{axis}', which is no axis of the expression",
                    axis,
                    sorted(known),
                    place.of(word, axis),
                )
    yield from _repeats(expression, place)
    yield from _like(expression, place)
    for axis, order in expression.order.items():
        if sorted(order) != list(range(len(order))):
            yield fault(
                f"order of axis '{axis}' is no permutation",
                place.of("order", axis),
                found=str(order),
                expected=f"each of 0..{len(order) - 1} once",
            )


def _part(part: SourcePart, place: Place, params: Collection[str]) -> Iterator[Problem]:
    """The mistakes of one source's own words; a take may be of a group of its axes."""
    axes = _parsed(part.axes)
    groups = {name for name in part.take if is_group(name)}
    plain = {name: index for name, index in part.take.items() if name not in groups}
    yield from _axes(part.axes, plain, dict.fromkeys(part.sizes, "sizes"), place, params)
    if groups and part.axes is None:
        yield fault("'take' names an axis, so there must be 'axes'", place.of("take"), expected='axes = "..."')
    left = {f"({' '.join(group)})" for group in axes.left} if axes is not None else groups
    for name in sorted(groups - left):
        yield fault(f"'{part.axes}' has no group '{name}' on its left", place.of("take", name))
    for name, size in part.sizes.items():
        if isinstance(size, str) and size not in params:
            yield unknown(f"no parameter is called '{size}'", size, sorted(params), place.of("sizes", name))


def sized_axes(expression: Expression) -> set[str]:
    """What a rule's ``sizes`` can name: axes, and settings of an operation that are given by name.

    >>> sorted(sized_axes(Expression(axes="(h d) e -> e h d")))
    ['d', 'e', 'h']
    """
    names = {value for value in expression.options.values() if isinstance(value, str)}
    parts = expression.sources if isinstance(expression.sources, list) else []
    for text in (expression.axes, *(part.axes for part in parts if isinstance(part, SourcePart))):
        axes = _parsed(text)
        names |= {*axes.names, *axes.new} if axes is not None else set()
    return names


def operation_problems(name: str, options: Mapping[str, object], place: Place) -> Iterator[Problem]:
    """What is wrong with the name of an operation and its settings, written in the table at ``place``."""
    operation = OPERATIONS.get(name)
    if operation is None:
        yield unknown(f"unknown operation '{name}'", name, OPERATIONS, place.of("op"))
        return
    for option in options:
        if option not in operation.options:
            yield unknown(
                f"operation '{name}' has no setting '{option}'", option, operation.options, place.of("options", option)
            )


def pattern_problems(pattern: str, place: Place) -> Iterator[Problem]:
    """What is wrong with a regex whose text stands at ``place``."""
    try:
        captures_of(pattern)
    except PatternError as error:
        yield Problem(
            "invalid regular expression",
            str(place),
            found=f"'{pattern}': {error}",
            excerpt=place.excerpt(pattern, error.column),
        )


_TOLD = ("found", "expected", "fix")


def captures(pattern: str) -> tuple[str, ...]:
    """The captures of a regex; none where it is invalid, which is reported once elsewhere."""
    try:
        return captures_of(pattern)
    except PatternError:
        return ()


def fault(what: str, place: Place, text: str = "", *told: str, **words: str) -> Problem:
    """A problem at a place, with carets under ``text`` or all that is meant.

    Args:
        what: See :class:`Problem`.
        place: Where it is.
        text: What the carets stand under.
        *told: What was found, what was expected, and the fix.
        **words: The same by name.
    """
    fields = dict(zip(_TOLD, told, strict=False)) | words
    given, expected, fix = (fields.get(name, "") for name in _TOLD)
    return Problem(what, str(place), given, expected, fix, place.excerpt(text))


def unknown(what: str, name: str, known: Iterable[str], place: Place) -> Problem:
    """A name that is none of those known, with the one most like it."""
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return fault(
        what,
        place,
        name,
        expected=f"one of: {', '.join(names)}" if names else "there is none",
        fix=f"did you mean '{close[0]}'?" if close else "",
    )


def _sources(expression: Expression, place: Place) -> Iterator[Problem]:
    patterns = source_patterns(expression)
    if not patterns and expression.fill is None:
        yield fault("an expression has no source", place, expected='from = "weight", or a list')
    listed = isinstance(expression.sources, list)
    for i, pattern in enumerate(patterns):
        at = place.of("from", i) if listed else place.of("from")
        yield from pattern_problems(pattern, at)
        if expression.stack is not None and expression.stack not in captures(pattern):
            names = ", ".join(captures(pattern))
            yield fault(
                f"'stack' names no capture of '{pattern}'",
                place.of("stack"),
                found=expression.stack,
                expected=f"one of: {names}" if names else "a capture, like <i>, in the pattern",
            )
        if i and set(captures(pattern)) != set(captures(patterns[0])):
            yield fault(
                "tensors of one list have different captures",
                at,
                found=f"{_braced(captures(pattern))} in '{pattern}'",
                expected=f"{_braced(captures(patterns[0]))}, as in '{patterns[0]}'",
            )


def _combination(expression: Expression, place: Place) -> Iterator[Problem]:
    if expression.op and expression.call:
        yield fault("'op' and 'call' exclude each other", place.of("call"), fix="keep the one you mean")
    if expression.concat and expression.reduce:
        yield fault("'concat' and 'reduce' exclude each other", place.of("reduce"), fix="keep the one you mean")
    for word, value in (("concat", expression.concat), ("reduce", expression.reduce)):
        if value and isinstance(expression.sources, str):
            yield fault(
                f"'{word}' needs a list of tensors",
                place.of(word),
                found=f"from = '{expression.sources}'",
                expected="from = ['first', 'second']",
            )


def _axes(
    text: str | None, take: Mapping[str, int | str], named: Mapping[str, str], place: Place, params: Collection[str]
) -> Iterator[Problem]:
    for axis, index in take.items():
        what, at = f"cannot take that of axis '{axis}'", place.of("take", axis)
        try:
            strange = [name for name in names_in(index) if name not in params]
        except TakeError as error:
            yield fault(what, at, found=str(error))
            continue
        if strange:
            yield fault(
                what,
                at,
                strange[0],
                found=f"no parameter is called '{strange[0]}'",
                expected=f"a number, or one of: {', '.join(params) or 'there is no parameter'}",
            )
    words = {**dict.fromkeys(take, "take"), **named}
    if text is None:
        if words:
            yield fault(
                f"'{next(iter(words.values()))}' names an axis, so there must be 'axes'",
                place.of(next(iter(words.values()))),
                found=", ".join(words),
                expected='axes = "...", which names them',
            )
        return
    try:
        axes = parse_axes(text)
    except AxesError as error:
        yield fault("invalid axes pattern", place.of("axes"), text, str(error), "like 'o i h w -> h w i o'")
        return
    for name, word in words.items():
        if name not in (*axes.names, *axes.new):
            yield unknown(f"'{text}' has no axis '{name}'", name, (*axes.names, *axes.new), place.of(word))


def _repeats(expression: Expression, place: Place) -> Iterator[Problem]:
    axes = _parsed(expression.axes)
    new = axes.new if axes is not None else ()
    for axis in new:
        if axis not in expression.repeat:
            yield fault(
                f"axis '{axis}' stands only on the right of '{expression.axes}'",
                place.of("axes"),
                axis,
                fix=f"write it on the left too, or say repeat = ['{axis}']",
            )
    for axis in expression.repeat:
        if axis not in new and (axes is not None or expression.axes is None):
            yield fault(
                f"'repeat' names '{axis}', which is no axis that only the Keras side has",
                place.of("repeat"),
                axis,
                expected=f"one of: {', '.join(new)}" if new else "there is none",
            )


def _computation(expression: Expression, place: Place) -> Iterator[Problem]:
    """An operation or function gets whole tensors: what would put them together first has no place beside it."""
    word = "op" if expression.op is not None else "call" if expression.call is not None else ""
    if not word:
        if expression.options:
            yield fault("'options' are settings of an operation, and there is no 'op'", place.of("options"))
        return
    for other in ("stack", "concat", "reduce"):
        if getattr(expression, other) is not None:
            yield fault(f"'{word}' and '{other}' exclude each other", place.of(other), fix="keep the one you mean")
    for i, part in enumerate(expression.sources if isinstance(expression.sources, list) else ()):
        if isinstance(part, SourcePart) and (part.axes is not None or part.take):
            yield fault(
                f"'{word}' gets its tensors whole, without axes or take of their own",
                place.of("from", i),
                fix="name the tensor alone",
            )


def _like(expression: Expression, place: Place) -> Iterator[Problem]:
    if expression.like is not None and (axes := like_parts(expression.like)[1]):
        try:
            parse_groups(axes)
        except AxesError as error:
            yield fault("invalid axes in 'like'", place.of("like"), axes, str(error), "like 'weight: o'")


def _parsed(text: str | None) -> Axes | None:
    try:
        return parse_axes(text) if text is not None else None
    except AxesError:
        return None


def _braced(names: tuple[str, ...]) -> str:
    return ", ".join(f"<{name}>" for name in names) or "none"
