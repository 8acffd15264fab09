"""Findings, and the codes that name their kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from remap.rules.place import Place

Level = Literal["error", "warning"]

CODES: dict[str, str] = {
    "R101": "a rule never fires",
    "R102": "two rules can claim one tensor",
    "R103": "a rule is shadowed: another claims all that it does",
    "R104": "a pattern matches only part of a series",
    "R105": "a regex can explode",
    "R106": "a dot that stands for any character",
    "R201": "a capture is never used",
    "R202": "a group without a name",
    "R203": "a layout is never used",
    "R204": "a table is never used",
    "R205": "a parameter is never used",
    "R206": "a fill is never needed",
    "R207": "an allow that answers nothing",
    "R301": "an index written out",
    "R302": "an anchor in a pattern that matches whole names anyway",
    "R303": "a name that Keras numbers by itself",
    "R401": "rules, checkpoint and target do not fit together",
    "R402": "a warning of the plan",
    "R403": "a cast that may lose data",
}
"""Every code and the kind of finding that it names: 1xx matching, 2xx unused, 3xx deprecated forms, 4xx the plan."""


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing to change in a rule file.

    Args:
        code: A key of :data:`CODES`.
        message: What was found, in one line.
        place: File and line.
        fix: The likeliest remedy.
        level: ``error`` where converting will fail, ``warning`` otherwise.
        text: The part of the line that is meant, the whole value if empty.
    """

    code: str
    message: str
    place: Place
    fix: str
    level: Level = "warning"
    text: str = ""

    def excerpt(self) -> str:
        """The line with carets."""
        return self.place.excerpt(self.text)
