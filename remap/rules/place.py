"""Places in a TOML file: which line and columns every table, key and value stands at.

``tomllib`` gives values without positions. This scanner gives positions without values; it only has
to be right on text that ``tomllib`` has accepted.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from unicodedata import east_asian_width

TomlKey = tuple[str | int, ...]
Columns = tuple[int, int]
"""Offsets in the text: [start, stop)."""

EXCERPT_WIDTH = 66
"""Columns of a source line that an excerpt shows: with its margins it fits a terminal of 80."""

SMALL = 16 * 1024
"""Characters of a file up to which its text is pickled with its places."""

_SPACE = re.compile(r"(?:[\s,]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*("((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))[ \t]*""")
_STRING = re.compile(r""""{3}(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}|'{3}[\s\S]*?'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*\'""")
_SCALAR = re.compile(r"[^,\]}#\n]+")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, from 1, and the columns on it that are meant.

    Args:
        path: The file.
        line: Number of the line, from 1.
        text: The line.
        start: First column that is meant, from 0.
        stop: Column after the last one; ``start`` where the whole line is meant.

    >>> print(Place(Path("a.toml"), 3, "match = 'x('").excerpt("x("))
    3 | match = 'x('
      |          ^^
    """

    path: Path
    line: int
    text: str = ""
    start: int = 0
    stop: int = 0
    _places: Places | None = field(default=None, repr=False, compare=False)
    _key: TomlKey = field(default=(), repr=False, compare=False)
    _row: bool = field(default=False, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    def __reduce__(self) -> tuple[object, ...]:
        """Of a small file, a copy in another process knows the other lines too; of a large one only this."""
        places = self._places if self._places is not None and len(self._places.text) <= SMALL else None
        return Place, (self.path, self.line, self.text, self.start, self.stop, places, self._key)

    def of(self, *key: str | int) -> Place:
        """The place of a value inside of the table that stands here, or of the nearest one around it.

        Of a row, ``match`` is its key, ``layout`` the name of the table that it stands in, and a value that is no table
        is the word that it stands for.
        """
        if self._places is None:
            return self
        if self._row:
            return self._places.find_in_row(self._key, *key)
        return self._places.find(*self._key, *key)

    def part(self, what: str) -> Place:
        """The place of a text on the line or further down in the table that begins here; this one where it is not."""
        if what and (at := self.text.find(what, self.start)) >= 0:
            return replace(self, start=at, stop=at + len(what))
        return (what and self._places and self._places.containing(what, self._key)) or self

    def excerpt(self, what: str = "", column: int | None = None) -> str:
        """The line with carets under what is meant.

        Args:
            what: A part of it: carets go under this text alone, where it stands on the line or further down
                in the table that begins here.
            column: A column of ``what``, from 0: one caret goes under it.
        """
        start, stop = self.start, max(self.start, self.stop)
        at = self.text.find(what, start) if what else -1
        if what and at < 0 and self._places is not None:
            inner = self._places.containing(what, self._key)
            if inner is not None:
                return inner.excerpt(what, column)
        if at >= 0 and column is not None:
            start = min(at + column, len(self.text))
            stop = start + 1
        elif at >= 0:
            start, stop = at, at + len(what)
        elif stop == start:
            start, stop = len(self.text) - len(self.text.lstrip()), len(self.text.rstrip())
        text, start, stop = _window(self.text, start, max(stop, start + 1))
        head = f"{self.line} | "
        margin = "".join("\t" if character == "\t" else " " * _cells(character) for character in text[:start])
        carets = "^" * max(sum(map(_cells, text[start:stop])), 1)
        return f"{head}{text}\n{' ' * (len(head) - 2)}| {margin}{carets}"


def _window(text: str, start: int, stop: int) -> tuple[str, int, int]:
    """The part of a long line around ``[start, stop)``, and where that lies in it."""
    if len(text) <= EXCERPT_WIDTH:
        return text, start, stop
    first = max(min(start - EXCERPT_WIDTH // 3, len(text) - EXCERPT_WIDTH), 0)
    last = min(first + EXCERPT_WIDTH, len(text))
    before, after = "..." if first else "", "..." if last < len(text) else ""
    shift = len(before) - first
    return f"{before}{text[first:last]}{after}", start + shift, min(stop, last) + shift


def _cells(character: str) -> int:
    """Columns that a character takes in a terminal."""
    return 2 if east_asian_width(character) in "WF" else 1


class Places:
    """Where each table, key and value of one TOML text stands.

    >>> places = Places(Path("a.toml"), "[[rename]]\\nmatch = 'a'\\n")
    >>> print(places.find("rename", 0, "match").excerpt())
    2 | match = 'a'
      |         ^^^
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text.replace("\r\n", "\n")
        self.lines = self.text.split("\n")

    def __reduce__(self) -> tuple[object, ...]:
        return Places, (self.path, self.text)

    def find(self, *key: str | int) -> Place:
        """The place of a value or table, or of the nearest table around it."""
        for length in range(len(key), 0, -1):
            if key[:length] in self._spans.values:
                return self._place(self._spans.values[key[:length]], key)
        return self.at(1)

    def find_key(self, *key: str | int) -> Place:
        """The place of a key itself, left of its ``=``."""
        span = self._spans.keys.get(key)
        return self.find(*key) if span is None else self._place(span, key)

    def find_row(self, *key: str | int) -> Place:
        """The place of a rule that is a row, ``'pattern' = ...``, of a table of rules."""
        place = self.find(*key)
        return Place(self.path, place.line, place.text, place.start, place.stop, self, key, True)

    def find_in_row(self, row: TomlKey, word: str | int, *inner: str | int) -> Place:
        """The place of a word of a rule that is a row."""
        if word == "match":
            return self.find_key(*row)
        if word == "layout":
            return self.find_key(*row[:-1])
        written = (*row, word) in self._spans.values
        return self.find(*row, word, *inner) if written else self.find(*row, *inner)

    def is_dotted(self, *key: str | int) -> bool:
        """Whether a table is there by dotted keys alone, ``key.inner = ...``."""
        return self._spans.values.get(key) == self._spans.keys.get(key)

    def containing(self, what: str, key: TomlKey) -> Place | None:
        """The first place at which a text stands inside of a value, or of the keys and values of a table."""
        for inner, span in self._spans.values.items():
            start = self.text.find(what, *span) if inner[: len(key)] == key else -1
            if start >= 0:
                return self._place((start, start + len(what)), inner)
        return None

    def at(self, line: int, column: int | None = None) -> Place:
        """The place of a line, or of one column of it, by number; lines from 1, columns from 0."""
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Place(self.path, line, text, column or 0, 0 if column is None else column + 1)

    @cached_property
    def _spans(self) -> _Scanner:
        return _Scanner(self.text)

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line) + 1)
        return starts

    def _place(self, span: Columns, key: TomlKey) -> Place:
        line = bisect_right(self._starts, span[0])
        start = span[0] - self._starts[line - 1]
        text = self.lines[line - 1]
        return Place(self.path, line, text, start, min(start + span[1] - span[0], len(text)), self, key)


class _Scanner:
    """Walks through a TOML text once.

    Attributes:
        keys: Span of each key, its quotes included, left of its ``=`` or in a header.
        values: Span of each value; of the header for a table.
    """

    def __init__(self, text: str) -> None:
        self.keys: dict[TomlKey, Columns] = {}
        self.values: dict[TomlKey, Columns] = {}
        self._text = text
        self._at = 0
        self._counts: dict[TomlKey, int] = {}
        self._document()

    def _document(self) -> None:
        table: TomlKey = ()
        while self._skip() < len(self._text):
            before = self._at
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._assignment(table)
            if self._at == before:
                break

    def _skip(self) -> int:
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
        return self._at

    def _header(self) -> TomlKey:
        start = self._at
        many = self._text.startswith("[[", start)
        self._at += 2 if many else 1
        table: TomlKey = ()
        for key, span in (keys := self._dotted()):
            table = (*table, key)
            self.keys.setdefault(table, span)
            self.values.setdefault(table, (start, start + 1))
            if len(table) < len(keys) and table in self._counts:
                table = (*table, self._counts[table])
        self._at += 2 if many else 1
        if table not in self._counts:
            self.values[table] = (start, self._at)
        if many:
            self._counts[table] = self._counts.get(table, -1) + 1
            table = (*table, self._counts[table])
            self.values[table] = (start, self._at)
        return table

    def _assignment(self, table: TomlKey) -> None:
        keys = self._dotted()
        self._at += 1  # the "="
        key = table
        for part, span in keys:
            key = (*key, part)
            self.keys.setdefault(key, span)
            self.values.setdefault(key, span)
        self._value(key)

    def _dotted(self) -> list[tuple[str, Columns]]:
        keys: list[tuple[str, Columns]] = []
        while match := _KEY.match(self._text, self._at):
            key = next(part for part in match.groups()[1:] if part is not None)
            if match[2] is not None and "\\" in key:
                key = tomllib.loads(f"key = {match[1]}")["key"]
            keys.append((key, match.span(1)))
            self._at = match.end()
            if not self._text.startswith(".", self._at):
                break
            self._at += 1
        return keys

    def _value(self, key: TomlKey) -> None:
        start = self._skip()
        first = self._text[start : start + 1]
        if first in ("[", "{"):
            self._at += 1
            index = 0
            while self._skip() < len(self._text) and self._text[self._at] not in "]}":
                before = self._at
                if first == "[":
                    self._value((*key, index))
                    index += 1
                else:
                    self._assignment(key)
                if self._at == before:
                    break
            self._at += 1
        else:
            match = _STRING.match(self._text, start) or _SCALAR.match(self._text, start)
            self._at = match.end() if match else start + 1
        stop = len(self._text[start : self._at].rstrip()) + start
        self.values[key] = (start, stop)
