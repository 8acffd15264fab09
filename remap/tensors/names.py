"""What a tensor can be called, and how much of names a file can make us hold."""

from __future__ import annotations

from remap.errors import CheckpointError

MAX_PARTS = 500
"""Parts of a dotted or slashed name: lists of names are trees of them."""
MAX_LENGTH = 16_384
"""Characters of a name."""
MAX_NAMES = 100_000_000
"""Characters of all names of a file: nesting repeats the outer ones in each."""


def refusal(name: str) -> str:
    """Why no tensor can have a name, empty if one can.

    >>> refusal("layer.weight"), refusal(chr(0xD800))
    ('', 'a name that is no text: it has half of a character')
    """
    if not name.isascii() and not is_text(name):
        return "a name that is no text: it has half of a character"
    if len(name) > MAX_LENGTH:
        return f"a name of {len(name):,} characters"
    parts = name.count(".") + name.count("/") + 1
    return f"a name of {parts:,} parts" if parts > MAX_PARTS else ""


def is_text(name: str) -> bool:
    """Whether a name can be printed or made a path: JSON and pickles can hold halves of characters.

    >>> is_text("größe"), is_text(chr(0xDC80))
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class NameBudget:
    """Counts the characters of names that are made of a nested file.

    Args:
        where: The file, for messages.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._left = MAX_NAMES

    def take(self, name: str) -> str:
        """The name, counted.

        Raises:
            CheckpointError: All of them are longer than those of any real file.
        """
        self._left -= len(name)
        if self._left < 0:
            raise CheckpointError(
                "names are nested without end",
                where=self._where,
                found=f"{name[:80]} ...",
                expected=f"names of at most {MAX_NAMES:,} characters together",
                fix="do not use this file",
            )
        return name
