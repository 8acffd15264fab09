"""The JSON Schema of a rule file, for editors; made from :mod:`remap.rules.schema`."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from remap.rules.schema import Document

FILE_NAME = "rules.schema.json"
"""Its name beside the shipped rule files."""


def rules_schema() -> dict[str, Any]:
    """The JSON Schema (draft 7) of a whole rule file, every word described.

    >>> rules_schema()["properties"]["format"]["description"]
    'Version of the rule language.'
    """
    generated = msgspec.json.schema(Document)
    definitions = {name: _without_null(entry) for name, entry in generated["$defs"].items()}
    document = definitions.pop("Document")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **document,
        "title": "remap rule file",
        "$defs": definitions,
    }


def schema_text() -> str:
    """:func:`rules_schema` as it is kept in the repository."""
    return json.dumps(rules_schema(), indent=2) + "\n"


def _without_null(entry: Any) -> Any:
    """The entry without null, which TOML does not have, and without defaults, which editors would insert."""
    if isinstance(entry, list):
        return [_without_null(item) for item in entry if item != {"type": "null"}]
    if not isinstance(entry, dict):
        return entry
    words = entry.get("properties", {})
    cleaned = {key: _without_null(value) for key, value in entry.items() if key not in ("default", "properties")}
    if words:
        cleaned["properties"] = {word: _without_null(value) for word, value in words.items()}
    if len(cleaned.get("anyOf", [])) == 1:
        cleaned |= cleaned.pop("anyOf")[0]
    if "description" in cleaned:  # a docstring, whose indentation msgspec takes away from version 0.23 on
        cleaned["description"] = " ".join(cleaned["description"].split())
    return cleaned
