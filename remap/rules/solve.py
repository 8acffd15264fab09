"""Templates backwards: which captures give a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from remap.rules.template import (
    Arithmetic,
    CaptureName,
    CaptureNames,
    LookUp,
    PlainText,
    Tables,
    Template,
    TemplateError,
    TemplateNode,
    WrittenValue,
    walk_template,
)

MOST_READINGS = 4096
"""Ways of cutting a name into a template's parts that are looked at."""
MOST_CANDIDATES = 1024
"""Values of one capture that are looked at."""
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)")

_Hole = tuple[TemplateNode, str]
"""A part between braces and the text that it has to give."""


class UnsolvableError(TemplateError):
    """A template that leaves some capture open, whatever the name; says which and why."""


def solve(
    template: Template,
    name: str,
    tables: Tables,
    known: CaptureNames | None = None,
    patterns: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The captures that fill a template to a name: none, one set, or every set where several do.

    Several are possible where ``{i//4}`` stands without ``{i%4}``, a table has one value under two keys, or captures
    touch. Numbers that are computed with count from 0 and have no zeros in front.

    Args:
        template: The template.
        name: What it is to give.
        tables: The rule file's look-ups.
        known: Captures and parameters that are known already; they are not repeated in the result.
        patterns: Regexes that captures must match whole.

    Raises:
        UnsolvableError: Infinitely many captures give the name, as with ``{i%4}`` alone.

    >>> from remap.rules.template import parse_template
    >>> solve(parse_template("conv{stage+1}_{roles[role]}"), "conv3_query", {"roles": {"q": "query", "k": "key"}})
    [{'stage': '2', 'role': 'q'}]
    >>> solve(parse_template("{i//4}_{i%4}"), "2_3", {})
    [{'i': '11'}]
    >>> solve(parse_template("{i//2}"), "3", {})
    [{'i': '6'}, {'i': '7'}]
    """
    known = known or {}
    wanted = {capture: re.compile(pattern) for capture, pattern in (patterns or {}).items()}
    solutions: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for number, holes in enumerate(_readings(template.parts, name, tables)):
        if number == MOST_READINGS:
            raise UnsolvableError(f"'{name}' can be read as '{template.text}' in more than {MOST_READINGS} ways")
        for captures in _agreeing(holes, known, tables):
            own = {capture: text for capture, text in captures.items() if capture not in known}
            if all(wanted[capture].fullmatch(text) for capture, text in own.items() if capture in wanted):
                solutions[tuple(sorted(own.items()))] = own
    return list(solutions.values())


def _readings(parts: tuple[TemplateNode, ...], name: str, tables: Tables) -> Iterator[list[_Hole]]:
    """Every way of cutting a name into what the parts give."""
    if not parts:
        if not name:
            yield []
        return
    part, rest = parts[0], parts[1:]
    if isinstance(part, PlainText):
        if name.startswith(part.text):
            yield from _readings(rest, name[len(part.text) :], tables)
        return
    for text in _beginnings(part, name, tables, rest):
        for holes in _readings(rest, name[len(text) :], tables):
            yield [(part, text), *holes]


def _beginnings(part: TemplateNode, name: str, tables: Tables, rest: tuple[TemplateNode, ...]) -> Iterable[str]:
    """What a part can have given, of the beginnings of a name."""
    if isinstance(part, LookUp):
        values = {str(value) for value in tables.get(part.table, {}).values()}
        return sorted(value for value in values if name.startswith(value))
    if isinstance(part, WrittenValue):
        return [str(part.written)] if name.startswith(str(part.written)) else []
    if not rest:
        ends: Iterable[int] = [len(name)]
    elif isinstance(rest[0], PlainText):
        text = rest[0].text
        ends = [at for at in range(len(name)) if name.startswith(text, at)]
    else:
        ends = range(len(name) + 1)
    beginnings = (name[:end] for end in ends)
    return beginnings if isinstance(part, CaptureName) else filter(_NUMBER.fullmatch, beginnings)


def _agreeing(holes: list[_Hole], captures: CaptureNames, tables: Tables) -> Iterator[dict[str, str]]:
    """The captures that give every hole its text, those that are known among them."""
    unsettled: list[_Hole] = []
    for node, text in holes:
        if _unknown(node, captures):
            unsettled.append((node, text))
        elif not _gives(node, text, captures, tables):
            return
    if not unsettled:
        yield dict(captures)
        return
    reasons = []
    for candidates_of in (_by_value, _by_key, _by_sum):
        for node, text in unsettled:
            try:
                candidates = candidates_of(node, text, captures, tables)
            except UnsolvableError as error:
                reasons.append(error)
                continue
            for candidate in candidates:
                yield from _agreeing(unsettled, {**captures, **candidate}, tables)
            return
    raise reasons[0]


def _by_value(node: TemplateNode, text: str, captures: CaptureNames, tables: Tables) -> list[dict[str, str]]:
    """The values of a node's one unknown capture with which it gives a text."""
    if len(_unknown(node, captures)) > 1:
        raise UnsolvableError(f"{_shown(node)} joins several captures that nothing else tells")
    return _preimages(node, text, captures, tables)


def _by_key(node: TemplateNode, text: str, captures: CaptureNames, tables: Tables) -> list[dict[str, str]]:
    """The values of the unknown capture of a look-up inside of a node with which the table has an entry."""
    for each in walk_template(node):
        if isinstance(each, LookUp) and len(_unknown(each.key, captures)) == 1:
            keys = tables.get(each.table, {})
            return [candidate for key in keys for candidate in _preimages(each.key, key, captures, tables)]
    raise UnsolvableError(f"{_shown(node)} joins several captures that nothing else tells")


def _by_sum(node: TemplateNode, text: str, captures: CaptureNames, tables: Tables) -> list[dict[str, str]]:
    """The values of the unknown capture of one addend of a sum that leave nothing negative for the others."""
    rest, addends = int(text) if _NUMBER.fullmatch(text) else -1, []
    for sign, addend in _addends(node, 1):
        if not _unknown(addend, captures):
            rest -= sign * int(addend.value(captures, tables))
        elif sign < 0 or any(isinstance(each, LookUp) or _subtracts(each) for each in walk_template(addend)):
            break
        else:
            addends.append(addend)
    else:
        for addend in addends:
            if len(_unknown(addend, captures)) == 1:
                sums = _few(node, range(rest + 1))
                return [candidate for part in sums for candidate in _preimages(addend, part, captures, tables)]
    raise UnsolvableError(f"{_shown(node)} joins several captures that nothing else tells")


def _addends(node: TemplateNode, sign: int) -> Iterator[tuple[int, TemplateNode]]:
    """What a sum adds, and with -1 what it subtracts."""
    if isinstance(node, Arithmetic) and node.operator in "+-":
        yield from _addends(node.left, sign)
        yield from _addends(node.right, sign if node.operator == "+" else -sign)
    else:
        yield sign, node


def _subtracts(node: TemplateNode) -> bool:
    return isinstance(node, Arithmetic) and node.operator == "-"


def _unknown(node: TemplateNode, captures: CaptureNames) -> set[str]:
    return {each.name for each in walk_template(node) if isinstance(each, CaptureName)} - captures.keys()


def _gives(node: TemplateNode, text: str, captures: CaptureNames, tables: Tables) -> bool:
    try:
        return str(node.value(captures, tables)) == text
    except TemplateError:
        return False


def _preimages(node: TemplateNode, value: str | int, captures: CaptureNames, tables: Tables) -> list[dict[str, str]]:
    """Every value of a node's one unknown capture with which it has the value.

    Args:
        node: The node.
        value: Text as it stands in a name, or a number on the way there.
        captures: The known ones.
        tables: The look-ups.

    Raises:
        UnsolvableError: There are infinitely many.
    """
    if isinstance(node, CaptureName):
        return [] if isinstance(value, int) and value < 0 else [{node.name: str(value)}]
    if isinstance(node, LookUp):
        keys = [key for key, entry in tables.get(node.table, {}).items() if _same(entry, value)]
        return [each for key in keys for each in _preimages(node.key, key, captures, tables)]
    if not isinstance(node, Arithmetic) or (isinstance(value, str) and not _NUMBER.fullmatch(value)):
        return []
    inner, others = _operands(node, int(value), captures, tables)
    return [each for other in others for each in _preimages(inner, other, captures, tables)]


def _same(entry: int | str, value: int | str) -> bool:
    if isinstance(value, str):
        return str(entry) == value
    try:
        return int(entry) == value
    except ValueError:
        return False


def _operands(
    node: Arithmetic, value: int, captures: CaptureNames, tables: Tables
) -> tuple[TemplateNode, Iterable[int]]:
    """The side of some arithmetic that is not known, and all numbers from 0 up that it can be."""
    sides = (node.left, node.right)
    unknown = [bool(_unknown(side, captures)) for side in sides]
    if all(unknown):
        raise UnsolvableError(f"{_shown(node)} uses its capture twice")
    inner, other = (node.left, node.right) if unknown[0] else (node.right, node.left)
    try:
        number = int(other.value(captures, tables))
    except ValueError:
        return inner, ()
    if node.operator == "+":
        return inner, (value - number,)
    if node.operator == "-":
        return inner, (value + number,) if unknown[0] else (number - value,)
    if node.operator == "*" and number:
        return inner, () if value % number else (value // number,)
    if node.operator == "//" and unknown[0] and number:
        first, last = sorted((value * number, value * number + number - (1 if number > 0 else -1)))
        return inner, _few(node, range(first, last + 1))
    raise UnsolvableError(f"{_shown(node)} has one value for any number of captures")


def _few(node: TemplateNode, candidates: range) -> range:
    if len(candidates) > MOST_CANDIDATES:
        raise UnsolvableError(f"{_shown(node)} has one value for more than {MOST_CANDIDATES} captures")
    return candidates


def _shown(node: TemplateNode) -> str:
    return f"{{{node.text}}}" if isinstance(node, Arithmetic) else "a look-up"
