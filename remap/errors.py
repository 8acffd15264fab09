"""The one family of exceptions that remap raises, and what each failure tells its reader.

A failure is a list of :class:`Problem`: code collects all that it finds, then raises once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

SHOWN_PER_GROUP = 8


class ProblemCode(Enum):
    """Kinds of problems that code tells apart."""

    IDLE_RULE = "a rule matches nothing"
    CONTESTED = "several rules claim one source tensor"
    UNCLAIMED = "no rule claims a source tensor"
    MISSING = "no rule writes a variable of the model"
    NO_VARIABLE = "the model has no such variable"
    PREFIX = "a prefix is off"


class Located(Protocol):
    """A line of a file."""

    @property
    def path(self) -> Path: ...

    @property
    def line(self) -> int: ...


def encodable(text: str) -> str:
    """A text, halves of characters written as their codes: names in files can have them.

    >>> encodable(chr(0xD800))
    '\\\\ud800'
    """
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what, where, what was found, what was expected, the likeliest fix.

    Args:
        what: The fault in one line; problems with the same ``what`` are shown as one group.
        where: Rule file and line, tensor, variable or file; made of ``place`` and ``subject`` where it is not given.
        found: What was there.
        expected: What should have been there.
        fix: The likeliest remedy.
        excerpt: Source lines with a caret, shown as they are.
        code: Its kind, where code tells it apart from others.
        place: The line of the rule file that it is about.
        subject: What of that line: a module, a variable.
        names: The tensors and variables that it is about, where it names them in full.

    >>> print(Problem("rule matches no tensor", where="resnet.toml:12", fix="check the pattern"))
    rule matches no tensor
      at resnet.toml:12
      fix: check the pattern
    """

    what: str
    where: str = ""
    found: str = ""
    expected: str = ""
    fix: str = ""
    excerpt: str = ""
    code: ProblemCode | None = None
    place: Located | None = None
    subject: str = ""
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.where and self.place is not None:
            where = f"{self.place} ({self.subject})" if self.subject else str(self.place)
            object.__setattr__(self, "where", where)
        for name in ("what", "where", "found", "expected", "fix", "excerpt"):
            object.__setattr__(self, name, encodable(getattr(self, name)))

    def details(self) -> str:
        """Everything but ``what``, indented, one line a field."""
        lines = [f"  at {self.where}"] if self.where else []
        lines += [f"  {line}" for line in self.excerpt.splitlines()]
        for label, text in (("found", self.found), ("expected", self.expected), ("fix", self.fix)):
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(lines)

    def __str__(self) -> str:
        details = self.details()
        return f"{self.what}\n{details}" if details else self.what


class RemapError(Exception):
    """Base of every failure that a user can cause.

    Args:
        problems: One problem, several, or a plain sentence.
        **fields: With a plain sentence, the other fields of its :class:`Problem`.

    Attributes:
        problems: All that was found, in order.
        exit_code: What the command line exits with.

    >>> RemapError("no such file", where="a.pt").problems[0].where
    'a.pt'
    """

    exit_code = 1

    def __init__(self, problems: str | Problem | Iterable[Problem], **fields: Any) -> None:
        if isinstance(problems, str):
            problems = Problem(problems, **fields)
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        groups: dict[str, list[Problem]] = {}
        for problem in self.problems:
            groups.setdefault(problem.what, []).append(problem)
        parts = [_render_group(what, group) for what, group in groups.items()]
        if len(self.problems) > 1:
            parts.append(f"{len(self.problems)} problems in all")
        return "\n".join(parts)


def _render_group(what: str, group: list[Problem]) -> str:
    if len(group) == 1:
        return str(group[0])
    lines = [f"{what} ({len(group)} times)"]
    lines += [problem.details() for problem in group[:SHOWN_PER_GROUP] if problem.details()]
    if len(group) > SHOWN_PER_GROUP:
        lines.append(f"  ... and {len(group) - SHOWN_PER_GROUP} more")
    return "\n".join(lines)


class UsageError(RemapError):
    """The command or call itself is off: a wrong argument, an output that exists already."""

    exit_code = 2


class CheckpointError(RemapError):
    """A checkpoint is missing, damaged, hostile, or of a kind that cannot be read."""

    exit_code = 3


class RuleError(RemapError):
    """A rule file is wrong by itself, whatever it is applied to."""

    exit_code = 4


class TargetError(RemapError):
    """The Keras model or its saved inventory cannot be used."""

    exit_code = 5


class PlanError(RemapError):
    """Rules, checkpoint and target do not fit together: the account does not close."""

    exit_code = 6


class WriteError(RemapError):
    """The output could not be written; nothing is left under its name."""

    exit_code = 7


class CheckError(RemapError):
    """The written file, read back, is not what the plan says."""

    exit_code = 8


class MissingPackageError(RemapError):
    """A package that this command needs is not installed; the message has the line that does it."""

    exit_code = 9
