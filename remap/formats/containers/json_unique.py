"""JSON in which no name occurs twice: with two, readers differ in which they take."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


def decode(text: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is no JSON, or an object in it has a name twice.
        RecursionError: It is nested too deeply.

    >>> decode(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
        ...
    ValueError: the name 'a' occurs twice
    """
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {twice!r:.200} occurs twice")
    return made
