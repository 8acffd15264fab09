"""Text as it can be shown anywhere: no control characters, and lines cut between words. Imports little, for messages
must come at once."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, what turns the direction of writing, and halves of surrogate pairs."""


def printable(text: str) -> str:
    r"""Text with escapes in place of what would steer a terminal rather than show on it.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


INDENT = 4
"""Columns that what is left of a line stands further in."""
_EXCERPT = re.compile(r"\s*(\d+ )?\s*\|")
"""A line of a rule file, whose carets must stay below what they point to."""


def cuts(line: str, width: int) -> tuple[list[int], int]:
    """Where to cut a line so that its parts fit, always between words, and how far all but the first are indented.

    >>> cuts("one two three", 8)
    ([8], 4)
    """
    hanging = len(line) - len(line.lstrip()) + INDENT
    places, start, room = list[int](), 0, width
    for word in re.finditer(r"\S+", line):
        if word.end() - start > room and line[start : word.start()].strip():
            places.append(word.start())
            start, room = word.start(), width - hanging
    return places, hanging


def wrapped(text: str, width: int) -> str:
    """Lines cut to a width, those of rule files left whole.

    >>> wrapped("one two three", 8)
    'one two\\n    three'
    """
    return "\n".join(line if _EXCERPT.match(line) else _wrapped_line(line, width) for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    places, hanging = cuts(line, width)
    parts = [line[a:b].rstrip() for a, b in zip([0, *places], [*places, len(line)], strict=True)]
    return f"\n{' ' * hanging}".join(parts)
