"""Regular expressions for names: whole-name matching, the ``<index>`` shorthand, no way to hang.

A pattern is a Python regular expression. All patterns of a rule file are matched at once by RE2, whose
time is linear in the name. What RE2 cannot express (look-around, back-references) goes to a backtracking
engine, one name and all names together under a time limit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import re2

from remap.rules.syntax import counted_size, parse_regex

_SHORTHAND = re.compile(r"(?<!\\)(?<!\(\?)(?<!\(\?P)<([A-Za-z_]\w*)>")
_MEMORY = 1 << 28
_CACHED_DFA = 1 << 24
MOST_REPEATS = 1000
"""Largest product of nested counted repetitions, ``(a{20}){50}``: RE2's limit, held for both engines."""
TIME_LIMIT = 1.0
"""Seconds that one backtracking pattern may take on one name."""
TIME_LIMIT_IN_ALL = 10.0
"""Seconds that backtracking may take over all names."""


class PatternError(ValueError):
    """An invalid pattern, or one that ran out of time; the caller adds where it stands.

    Attributes:
        column: Where in the pattern the mistake is, from 0, as written; None where that is not known.
    """

    def __init__(self, message: str, column: int | None = None) -> None:
        super().__init__(message)
        self.column = column


def expand(pattern: str) -> str:
    r"""Write out the ``<name>`` shorthand.

    >>> expand(r"layer<stage>\.bn<n>")
    'layer(?P<stage>\\d+)\\.bn(?P<n>\\d+)'
    """
    return _SHORTHAND.sub(r"(?P<\1>\\d+)", pattern)


def captures_of(pattern: str) -> tuple[str, ...]:
    """Names of the captures of a pattern, in order.

    Raises:
        PatternError: It is invalid.

    >>> captures_of("a<i>")
    ('i',)
    """
    return _checked(pattern)


def needs_backtracking(pattern: str) -> bool:
    """Whether the linear-time engine cannot run a valid pattern.

    >>> needs_backtracking("a<i>"), needs_backtracking("(?!b).*")
    (False, True)
    """
    return not _is_linear(_compile(expand(pattern)))


@lru_cache(maxsize=4096)
def _checked(pattern: str) -> tuple[str, ...]:
    """The captures of a pattern, once it is known to be valid and of a reasonable size."""
    expanded = expand(pattern)
    try:
        names = tuple(re.compile(expanded).groupindex)
        size = counted_size(parse_regex(expanded))
    except re.error as error:
        raise PatternError(error.msg, _column(pattern, error.pos)) from error
    except (RecursionError, OverflowError) as error:
        raise PatternError("nested too deeply, or counted too high") from error
    if size > MOST_REPEATS:
        raise PatternError(f"counted repetitions multiply to {size}, the limit is {MOST_REPEATS}")
    return names


def _column(pattern: str, position: int | None) -> int | None:
    """A position in the expanded pattern as one in the pattern as written."""
    if position is None:
        return None
    shift = 0
    for shorthand in _SHORTHAND.finditer(pattern):
        grown = len(expand(shorthand[0])) - len(shorthand[0])
        if shorthand.start() + shift >= position:
            break
        if shorthand.end() + shift + grown > position:
            return shorthand.start()
        shift += grown
    return position - shift


def _options(memory: int = _CACHED_DFA) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    return options


@lru_cache(maxsize=4096)
def _compile(expanded: str) -> Any:
    """The pattern for RE2 where it can and means the same by it, for the backtracking engine otherwise.

    Raises:
        PatternError: Neither accepts it.
    """
    try:
        if "{," in expanded:  # plain text to RE2, a repetition to Python
            raise re2.error
        return re2.compile(expanded, _options())
    except re2.error:
        import regex

        try:
            return regex.compile(expanded, regex.ASCII)
        except regex.error as error:
            raise PatternError(str(error)) from error


_REPEATED_GROUP = re.compile(r"\)[*+{]")
QUICK_AFTER = 64
"""Captures taken of one pattern before Python's own engine takes them over: it is several times as quick on a name
that is known to match, and cannot explode where no group is repeated."""


def _is_linear(compiled: Any) -> bool:
    """Whether RE2 runs it, and not the backtracking engine, which is imported only for patterns that need it."""
    return type(compiled).__module__.partition(".")[0] == "re2"


class Patterns:
    r"""Many patterns, held against one name at a time.

    Args:
        patterns: Regexes with the ``<name>`` shorthand; each must match the whole name.

    Raises:
        PatternError: A pattern is invalid.

    >>> patterns = Patterns([r"a<i>", r"a\d", r"(?!b)\w"])
    >>> patterns.match("a1")
    [0, 1]
    >>> patterns.captures(0, "a1")
    {'i': '1'}
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._compiled = [_compile(expand(pattern)) for pattern in patterns]
        self._slow = {i for i, compiled in enumerate(self._compiled) if not _is_linear(compiled)}
        self._in_set = [i for i in range(len(self._compiled)) if i not in self._slow]
        self._groups = [
            dict(sorted(compiled.groupindex.items(), key=lambda group: group[1])) for compiled in self._compiled
        ]
        self._set = _set([self._compiled[i].pattern for i in self._in_set])
        self._any = _any([self._compiled[i].pattern for i in self._in_set])
        self._uses = [0] * len(self._compiled)
        self._quick: dict[int, re.Pattern[str]] = {}
        self._spent = 0.0

    def match(self, name: str) -> list[int]:
        """Indices of the patterns that match the whole of ``name``, in order.

        Raises:
            PatternError: A backtracking pattern took longer than the limit.
        """
        hits = self._set.Match(name) if self._set is not None else None
        if hits:
            matching = [self._in_set[hit] for hit in hits]
        elif self._set is None or self._any is None or self._any.fullmatch(name) is not None:
            # a set that lacks the memory to run says the same as one without a match
            matching = [index for index in self._in_set if self._compiled[index].fullmatch(name) is not None]
        else:
            matching = []
        matching += [index for index in self._slow if self._backtrack(index, name) is not None]
        return sorted(matching) if len(matching) > 1 else matching

    def captures(self, index: int, name: str) -> dict[str, str]:
        """The named captures of a pattern that matches ``name``; empty text for one not taken part."""
        quick = self._quick.get(index)
        if quick is not None and (taken := quick.fullmatch(name)) is not None:
            return taken.groupdict("")
        groups = self._groups[index]
        self._uses[index] += 1
        if self._uses[index] == QUICK_AFTER and _REPEATED_GROUP.search(self._compiled[index].pattern) is None:
            self._quick[index] = re.compile(self._compiled[index].pattern, re.ASCII)
        if index in self._slow:
            match = self._backtrack(index, name)
            return {key: match[group] or "" for key, group in groups.items()}
        # as bytes: RE2's offsets into text would be counted anew for each match
        match = self._compiled[index].fullmatch(name.encode())
        return {key: (match[group] or b"").decode() for key, group in groups.items()}

    def _backtrack(self, index: int, name: str) -> Any:
        started = time.perf_counter()
        try:
            return self._compiled[index].fullmatch(name, timeout=min(TIME_LIMIT, TIME_LIMIT_IN_ALL - self._spent))
        except TimeoutError as error:
            raise PatternError(
                f"'{self._compiled[index].pattern}' took more than {TIME_LIMIT:g} s on '{name}', or "
                f"{TIME_LIMIT_IN_ALL:g} s in all: it backtracks; write it without nested repetition or without "
                "look-around"
            ) from error
        finally:
            self._spent = min(self._spent + time.perf_counter() - started, TIME_LIMIT_IN_ALL - 1e-6)


def _set(patterns: list[str]) -> Any:
    """All patterns as one automaton; None where that would be too large."""
    patterns_set = re2.Set.FullMatchSet(_options(_MEMORY))
    for pattern in patterns:
        patterns_set.Add(pattern)
    try:
        patterns_set.Compile()
    except re2.error:
        return None
    return patterns_set


def _any(patterns: list[str]) -> Any:
    """One pattern that matches what any of them does; None where that would be too large."""
    options = _options(_MEMORY)
    options.never_capture = True
    try:
        return re2.compile("|".join(f"(?:{pattern})" for pattern in patterns), options)
    except re2.error:
        return None
