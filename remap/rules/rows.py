"""The rules of a file, whichever way they are written: a row, ``'pattern' = ...``, or a table of words for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from remap.errors import Problem
from remap.layout.expression import Table
from remap.rules import schema
from remap.rules.convert import Converter
from remap.rules.expression import fault
from remap.rules.place import Place, Places
from remap.rules.rulefile import RAW, Rule

_SETTLING: dict[str, tuple[type[Any], type[Table], Any]] = {
    "ignore": (schema.Ignore, schema.Exemption, schema.Reason | schema.Exemption),
    "keep": (schema.Keep, schema.Exemption, schema.Reason | schema.Exemption),
    "fill": (schema.FillRule, schema.Filling, schema.Filling),
}
"""Of each kind of rule that settles what is left: its type, the type of its words in a row, and that of the row."""


class RuleTables:
    """The rules of one document.

    Args:
        document: What ``tomllib`` gave.
        places: Where everything stands.
        converter: Converts the values.
        batchnorm: The file's own BatchNorm rule.
        problems: Gets the mistakes.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        places: Places,
        converter: Converter,
        batchnorm: schema.BatchNorm,
        problems: list[Problem],
    ) -> None:
        self._document = document
        self._places = places
        self._converter = converter
        self._batchnorm = batchnorm
        self._problems = problems

    def renames(self) -> tuple[Rule[Any], ...]:
        """``[move.LAYOUT]`` and ``[[rename]]``, in the order of the file."""
        rules = self._listed("rename", schema.Rename, "[[rename]], one for each rule")
        moves = self._document.get("move", {})
        if not isinstance(moves, dict):
            self._fault("'move' is a table of layouts", self._places.find("move"), expected=_move_form())
            moves = {}
        for layout, rows in moves.items():
            rules += self._moves(layout, rows)
        return tuple(sorted(rules, key=lambda rule: (rule.place.line, rule.place.start)))

    def settling(self, name: str) -> tuple[Rule[Any], ...]:
        """``[ignore]``, ``[keep]`` or ``[fill]``, or a list of the same."""
        kind, words, row_kind = _SETTLING[name]
        rows = self._document.get(name, {})
        if not isinstance(rows, dict):
            form = f"[{name}], then 'pattern' = ..., or [[{name}]] for each rule"
            return tuple(self._listed(name, kind, form, f"'{name}' is a table of rules"))
        rules = []
        for pattern, row in self._rows(rows, words, f"[[{name}]]", f"[{name}], then 'pattern' = ...", name):
            entry = self._converter.convert(row, row_kind, name, pattern)
            if entry is not None:
                said = {"reason": entry} if isinstance(entry, str) else msgspec.structs.asdict(entry)
                rules.append(self._rule(kind(match=pattern, **said), name, pattern))
        return tuple(rules)

    def derives(self) -> tuple[Rule[Any], ...]:
        """``[[derive]]``."""
        return tuple(self._listed("derive", schema.Derive, "[[derive]], one for each rule"))

    def _listed(self, name: str, kind: type[Any], form: str, what: str = "") -> list[Rule[Any]]:
        entries = self._document.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._fault(what or f"'{name}' is a list of tables", self._places.find(name), expected=form)
            return []
        specs = [self._converter.convert(entry, kind, name, index) for index, entry in enumerate(entries)]
        return [
            Rule(spec, self._places.find(name, i), self._batchnorm) for i, spec in enumerate(specs) if spec is not None
        ]

    def _moves(self, layout: str, rows: Any) -> list[Rule[Any]]:
        at = ("move", layout)
        if isinstance(rows, list):
            self._fault(f"'move.{layout}' is one table", self._places.find_key(*at), expected=_move_form(layout))
            return []
        if not isinstance(rows, dict):
            self._fault("a rule stands below the name of its layout", self._places.find_key(*at), _move_form())
            return []
        rules = []
        for pattern, row in self._rows(rows, schema.Move, "[[rename]]", _move_form(layout), *at):
            entry = self._converter.convert(row, str | list[str] | schema.Move, *at, pattern)
            if entry is not None:
                said = msgspec.structs.asdict(entry) if isinstance(entry, schema.Move) else {"to": entry}
                spec = schema.Rename(match=pattern, layout=None if layout == RAW else layout, **said)
                rules.append(self._rule(spec, *at, pattern))
        return rules

    def _rows(self, rows: dict[str, Any], words: type[Table], other: str, form: str, *at: str) -> list[tuple[str, Any]]:
        """The rows of a table that can be read as rules; what is written in ``other``, another form, is reported."""
        if "match" in rows and ("to" in rows or "reason" in rows):
            self._fault(f"'match' is a word of {other}", self._places.find_key(*at, "match"), expected=form)
            return []
        known = set(words.__struct_encode_fields__)
        kept = []
        for pattern, row in rows.items():
            if isinstance(row, dict) and not row.keys() & known and self._places.is_dotted(*at, pattern):
                self._fault(
                    "a pattern with dots has no quotes",
                    self._places.find_key(*at, pattern),
                    expected="'layer<i>\\.conv' = ..., between single quotes",
                )
            else:
                kept.append((pattern, row))
        return kept

    def _rule(self, spec: Any, *at: str) -> Rule[Any]:
        return Rule(spec, self._places.find_row(*at), self._batchnorm)

    def _fault(self, what: str, place: Place, expected: str) -> None:
        self._problems.append(fault(what, place, expected=expected))


def _move_form(layout: str = "conv2d") -> str:
    return f"[move.{layout}], then 'pattern' = 'target'; [move.{RAW}] where a rule moves one tensor"
