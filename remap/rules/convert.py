"""TOML data to the types of :mod:`remap.rules.schema`: every mistake found, each with its place."""

from __future__ import annotations

import types
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from remap.errors import Problem
from remap.rules.place import Places

_WORDS: dict[Any, tuple[str, str]] = {
    str: ("a text", "texts"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
}
_BEFORE_PATTERN = {"move": 2, "ignore": 1, "keep": 1, "fill": 1}
"""How many words name the tables whose keys are patterns; the place shows which pattern."""


class Converter:
    """Converts the values of one file; what does not fit goes to ``problems``.

    Args:
        places: Where everything stands.
        problems: Gets the mistakes.
    """

    def __init__(self, places: Places, problems: list[Problem]) -> None:
        self._places = places
        self._problems = problems

    def convert(self, value: Any, kind: Any, *at: str | int) -> Any:
        """The value as ``kind``, a struct or a type of one of its fields; None where it does not fit.

        Args:
            value: What ``tomllib`` gave.
            kind: The type.
            *at: Keys that lead to it from the top of the file.
        """
        for option in _options(kind):
            if isinstance(value, dict) and _is_struct(option):
                return self._struct(value, option, at)
            if isinstance(value, dict) and get_origin(option) is dict:
                entry_kind = get_args(option)[1]
                entries = {key: self.convert(entry, entry_kind, *at, key) for key, entry in value.items()}
                return {key: entry for key, entry in entries.items() if entry is not None}
            if isinstance(value, list) and get_origin(option) is list:
                items = [self.convert(entry, get_args(option)[0], *at, i) for i, entry in enumerate(value)]
                return [item for item in items if item is not None]
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            self._problems.append(self._wrong(value, kind, at))
            return None

    def _struct(self, value: dict[str, Any], kind: Any, at: tuple[str | int, ...]) -> Any:
        before = len(self._problems)
        fields = {field.encode_name: field for field in words_of(kind)}
        words, meant = {}, set()
        for key, entry in value.items():
            if key in fields:
                words[fields[key].name] = self.convert(entry, fields[key].type, *at, key)
            else:
                meant.add(self.unknown(key, fields, *at))
        required = [field.encode_name for field in fields.values() if field.required]
        missing = [name for name in required if name not in value and name not in meant]
        if missing:
            place = self._places.find(*at)
            self._problems.append(
                Problem(
                    f"'{_table_name(at)}' needs {_listed(missing)}",
                    str(place),
                    excerpt=place.excerpt(),
                    fix="; ".join(f"{name} = ...  ({_help(fields[name].type)})" for name in missing),
                )
            )
        return kind(**words) if len(self._problems) == before else None

    def unknown(self, key: str, known: Iterable[str], *at: str | int) -> str:
        """Report a key that the table at ``at`` does not have; the key that was probably meant."""
        place = self._places.find_key(*at, key)
        close = get_close_matches(key, list(known), n=1, cutoff=0.5)
        where = f" in '{_table_name(at)}'" if at else ""
        self._problems.append(
            Problem(
                f"unknown key '{key}'{where}",
                str(place),
                expected=f"one of: {', '.join(known)}",
                fix=f"did you mean '{close[0]}'?" if close else "",
                excerpt=place.excerpt(),
            )
        )
        return close[0] if close else ""

    def _wrong(self, value: Any, kind: Any, at: tuple[str | int, ...]) -> Problem:
        place = self._places.find(*at)
        name = next((part for part in reversed(at) if isinstance(part, str)), "")
        choices = [str(choice) for option in _options(kind) for choice in _literals(option)]
        close = get_close_matches(str(value), choices, n=1) if isinstance(value, str) else []
        return Problem(
            f"wrong value for '{name}'",
            str(place),
            found=_shown(value),
            expected=describe(kind),
            fix=f'did you mean "{close[0]}"?' if close else "",
            excerpt=place.excerpt(),
        )


def describe(kind: Any) -> str:
    """A type in words.

    >>> describe(str | list[str])
    'a text or a list of texts'
    """
    parts = [_limited(option, metas) for option, metas in _alternatives(kind) if option is not type(None)]
    return " or ".join(dict.fromkeys(parts))


def _limited(option: Any, metas: tuple[Any, ...]) -> str:
    described = _described(option)
    for meta in metas:
        if meta.ge is not None:
            described += f" of at least {meta.ge:g}"
        if meta.min_length:
            described += " that is not empty"
    return described


def _described(option: Any) -> str:
    if _is_struct(option):
        return "a table {" + ", ".join(field.encode_name for field in words_of(option)) + "}"
    if get_origin(option) is Literal:
        return " or ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in get_args(option))
    if get_origin(option) is list:
        return f"a list of {_plural(get_args(option)[0])}"
    if get_origin(option) is dict:
        return f"a table of {_plural(get_args(option)[1])}"
    return _WORDS[option][0]


def _plural(kind: Any) -> str:
    return " or ".join(
        _WORDS[option][1] if option in _WORDS else _described(option).replace("a ", "", 1) + "s"
        for option in _options(kind)
    )


def _options(kind: Any) -> tuple[Any, ...]:
    """The alternatives of a type, notes on it left out."""
    return tuple(option for option, _ in _alternatives(kind))


def _alternatives(kind: Any, metas: tuple[Any, ...] = ()) -> list[tuple[Any, tuple[Any, ...]]]:
    """The alternatives of a type, each with the notes on it."""
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0], (*metas, *get_args(kind)[1:]))
    if get_origin(kind) in (Union, types.UnionType):
        return [option for part in get_args(kind) for option in _alternatives(part, metas)]
    return [(kind, metas)]


def _literals(option: Any) -> tuple[Any, ...]:
    return get_args(option) if get_origin(option) is Literal else ()


def _help(kind: Any) -> str:
    metas = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return next((meta.description.rstrip(".") for meta in metas if meta.description), "")


@cache
def words_of(kind: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The words of a table; ``match`` first, which a rule begins with."""
    return tuple(sorted(msgspec.structs.fields(kind), key=lambda field: field.encode_name != "match"))


def _is_struct(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, msgspec.Struct)


def _table_name(at: tuple[str | int, ...]) -> str:
    words = [part for part in at if isinstance(part, str)]
    return ".".join(words[: _BEFORE_PATTERN.get(words[0], len(words))])


def _listed(names: list[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return f"[{', '.join(_shown(entry) for entry in value[:4])}{', ...' if len(value) > 4 else ''}]"
    return str(value)
