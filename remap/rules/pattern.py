"""Regular expressions for names: whole-name matching, the ``<index>`` shorthand, no way to hang.

All patterns of a rule file are matched at once by RE2, whose time is linear in the name. What RE2
cannot express (look-around, back-references) goes to a backtracking engine under a time limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import re2
import regex

_SHORTHAND = re.compile(r"(?<!\\)(?<!\(\?)(?<!\(\?P)<([A-Za-z_]\w*)>")
_MEMORY = 1 << 28
_CACHED_DFA = 1 << 24
TIME_LIMIT = 1.0
"""Seconds that one backtracking pattern may take on one name."""


class PatternError(ValueError):
    """An invalid pattern, or one that ran out of time; the caller adds where it stands."""


def expand(pattern: str) -> str:
    r"""Write out the ``<name>`` shorthand.

    >>> expand(r"layer<stage>\.bn<n>")
    'layer(?P<stage>\\d+)\\.bn(?P<n>\\d+)'
    """
    return _SHORTHAND.sub(r"(?P<\1>\\d+)", pattern)


def captures_of(pattern: str) -> tuple[str, ...]:
    """Names of the captures of a pattern.

    >>> captures_of("a<i>")
    ('i',)
    """
    return tuple(_compile(expand(pattern)).groupindex)


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _CACHED_DFA
    return options


def _compile(expanded: str) -> Any:
    """The pattern for RE2 where it can, for the backtracking engine otherwise.

    Raises:
        PatternError: Neither accepts it.
    """
    try:
        return re2.compile(expanded, _options())
    except re2.error:
        try:
            return regex.compile(expanded)
        except regex.error as error:
            raise PatternError(str(error)) from error


class Patterns:
    r"""Many patterns, held against one name at a time.

    Args:
        patterns: Regexes with the ``<name>`` shorthand; each must match the whole name.

    Raises:
        PatternError: A pattern is invalid.

    >>> found = Patterns([r"a<i>", r"a\d", r"(?!b)\w"])
    >>> found.match("a1")
    [0, 1]
    >>> found.captures(0, "a1")
    {'i': '1'}
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._compiled = [_compile(expand(pattern)) for pattern in patterns]
        options = _options()
        options.max_mem = _MEMORY
        self._set = re2.Set.FullMatchSet(options)
        self._in_set: list[int] = []
        self._slow: list[int] = []
        for index, compiled in enumerate(self._compiled):
            if isinstance(compiled, regex.Pattern):
                self._slow.append(index)
            else:
                self._set.Add(compiled.pattern)
                self._in_set.append(index)
        self._set.Compile()

    def match(self, name: str) -> list[int]:
        """Indices of the patterns that match the whole of ``name``, in order.

        Raises:
            PatternError: A backtracking pattern took longer than the limit.
        """
        found = [self._in_set[i] for i in self._set.Match(name)] if self._in_set else []
        found += [index for index in self._slow if self._backtrack(index, name) is not None]
        return sorted(found) if len(found) > 1 else found

    def captures(self, index: int, name: str) -> dict[str, str]:
        """The named captures of a pattern that matches ``name``; empty text for one not taken part."""
        slow = index in self._slow
        match = self._backtrack(index, name) if slow else self._compiled[index].fullmatch(name)
        return {key: text or "" for key, text in match.groupdict().items()} if match is not None else {}

    def _backtrack(self, index: int, name: str) -> Any:
        try:
            return self._compiled[index].fullmatch(name, timeout=TIME_LIMIT)
        except TimeoutError as error:
            raise PatternError(
                f"took more than {TIME_LIMIT:g} s on {name!r}: it backtracks; write it without nested repetition "
                "or without look-around"
            ) from error
