"""Which rule was probably meant to write a variable that none writes."""

from __future__ import annotations

from collections.abc import Iterable

from remap.errors import Located, Problem, ProblemCode
from remap.inventory.match import VariableNames
from remap.planning.link import variable_name
from remap.planning.match import Claims
from remap.rules.pattern import Patterns
from remap.rules.rulefile import RuleFile
from remap.rules.schema import Rename
from remap.rules.template import parse_template


class MeantRules:
    """Rules that fail, by the variables that they would write.

    Args:
        rules: The rule file.
        claims: The outcome of matching: rules that match nothing are meant to write what their ``to`` names.
        problems: Those of rules that name a variable: it was meant, or where there is none so called, the one most
            like it.
        names: The target's variables by name.
    """

    def __init__(
        self, rules: RuleFile, claims: Claims, problems: Iterable[Problem], names: VariableNames | None
    ) -> None:
        self._places: list[Located] = []
        patterns: list[str] = []
        for rule in claims.idle:
            spec = rule.spec
            if not isinstance(spec, Rename):
                continue
            for to in [spec.to] if isinstance(spec.to, str) else spec.to:
                for entry in rules.layout_of(spec):
                    written = parse_template(variable_name(to, entry)).regex(rules.tables, "[^/]+", r"\d+")
                    patterns.append(f"(?:.*/)?{written}")
                    self._places.append(rule.place)
        self._patterns = Patterns(patterns)
        self._named = {
            variable: problem.place
            for problem in problems
            if problem.place is not None and problem.names and names is not None
            for variable in _variables_named(problem, names)
        }

    def place(self, variable: str) -> Located | None:
        """The rule's place; None where none was meant to write it."""
        named = self._named.get(variable)
        if named is not None:
            return named
        hits = self._patterns.match(variable)
        return self._places[hits[0]] if hits else None


def _variables_named(problem: Problem, names: VariableNames) -> list[str]:
    """The variable that a rule failed to write."""
    if problem.code is ProblemCode.NO_VARIABLE:
        return names.close_to(problem.names[0])[:1]
    return [variable.path for variable in names.candidates(problem.names[0])]
