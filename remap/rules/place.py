"""Places in a TOML file: which line and column every table and key stands at.

``tomllib`` gives values without positions. This scanner gives positions without values; it only has
to be right on text that ``tomllib`` has accepted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

Key = tuple[str | int, ...]

_BARE_OR_QUOTED = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(\.)?""")
_TOKENS = re.compile(r"""\"{3}|'{3}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[\]{}]|\n""")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, from 1, and the text that stands there.

    >>> print(Place(Path("a.toml"), 3, "match = 'x('").excerpt("x("))
    3 | match = 'x('
      |          ^^
    """

    path: Path
    line: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    def excerpt(self, what: str = "") -> str:
        """The line, with carets under ``what`` where it stands in it (under the whole line otherwise)."""
        head = f"{self.line} | "
        column = self.text.find(what) if what else -1
        if column < 0:
            column, what = len(self.text) - len(self.text.lstrip()), self.text.strip()
        return f"{head}{self.text}\n{' ' * (len(head) - 2)}| {' ' * column}{'^' * max(len(what), 1)}"


class Places:
    """Where each table and key of one TOML text stands.

    >>> Places(Path("a.toml"), "[[rename]]\\nmatch = 'a'\\n").find("rename", 0, "match").line
    2
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()
        self._found: dict[Key, int] = {}
        self._scan(text)

    def find(self, *key: str | int) -> Place:
        """The place of a key, or of the nearest table around it."""
        for length in range(len(key), 0, -1):
            if key[:length] in self._found:
                return self.at(self._found[key[:length]])
        return self.at(1)

    def at(self, line: int) -> Place:
        """The place of a line by its number."""
        return Place(self.path, line, self.lines[line - 1] if 0 < line <= len(self.lines) else "")

    def _scan(self, text: str) -> None:
        table: Key = ()
        counts: dict[Key, int] = {}
        for number, line in _statements(text):
            stripped = line.strip()
            if stripped.startswith("[["):
                name = self._absolute(_keys(stripped[2:]), counts)
                counts[name] = counts.get(name, -1) + 1
                table = (*name, counts[name])
                self._found.setdefault(name, number)
                self._found[table] = number
            elif stripped.startswith("["):
                table = self._absolute(_keys(stripped[1:]), counts)
                self._found.setdefault(table, number)
            else:
                keys = _keys(stripped)
                for length in range(1, len(keys) + 1):
                    self._found.setdefault((*table, *keys[:length]), number)

    @staticmethod
    def _absolute(keys: list[str], counts: dict[Key, int]) -> Key:
        """A header's keys, with the running index of every array of tables on the way."""
        found: Key = ()
        for i, key in enumerate(keys):
            found = (*found, key)
            if i < len(keys) - 1 and found in counts:
                found = (*found, counts[found])
        return found


def _keys(text: str) -> list[str]:
    """The dotted key at the start of ``text``."""
    keys: list[str] = []
    position = 0
    while match := _BARE_OR_QUOTED.match(text, position):
        double, single, bare, dot = match.groups()
        keys.append(next(part for part in (double, single, bare) if part is not None))
        position = match.end()
        if not dot:
            break
    return keys


def _statements(text: str) -> list[tuple[int, str]]:
    """(line number, first line) of every header and assignment: what lies inside of multi-line
    strings and arrays is passed over."""
    lines = text.splitlines()
    starts: list[tuple[int, str]] = []
    number, depth, fresh, position = 1, 0, True, 0
    while position <= len(text):
        if fresh:
            line = lines[number - 1] if number <= len(lines) else ""
            if line.strip() and not line.lstrip().startswith("#"):
                starts.append((number, line))
            fresh = False
        match = _TOKENS.search(text, position)
        if match is None:
            break
        token, position = match[0], match.end()
        if token in ('"""', "'''"):
            end = text.find(token, position)
            end = len(text) if end < 0 else end + 3
            number += text.count("\n", position, end)
            position = end
        elif token in "[{":
            depth += 1
        elif token in "]}":
            depth -= 1
        elif token == "\n":
            number += 1
            fresh = depth <= 0
    return starts
