"""From links to assignments: variables found in the target, values made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from remap.errors import PlanError, Problem, ProblemCode
from remap.inventory.inventory import Variable
from remap.inventory.match import VariableNames
from remap.layout.axes import AxesError
from remap.layout.blind import BlindCause, Blindness
from remap.layout.expression import Layout
from remap.layout.tiles import Value
from remap.planning.derived import Derived, leaves
from remap.planning.link import Link, has_sources, variable_name
from remap.planning.plan import Assignment, Ignored
from remap.planning.unsaid import unsaid_fix, varying_captures
from remap.planning.values import Values
from remap.rules.rulefile import IncludedPart
from remap.tensors.dtypes import dtype_of, working_dtype


@dataclass(slots=True)
class Assigner:
    """Makes the assignments of one plan; collects problems.

    Args:
        values: Makes the values.
        names: The target's variables by name, where a target is known.
        dtype: Element type to write, where the caller asks for one.
        problems: What does not fit.
        links: Those whose layers are written.
        left: Tensors left behind, because the target lacks a layer that it may lack.
        parts: Included parts that may be missing, and that both sides have something of.
    """

    values: Values
    names: VariableNames | None
    dtype: np.dtype | None
    problems: list[Problem] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    left: list[Ignored] = field(default_factory=list)
    parts: set[IncludedPart] = field(default_factory=set)
    _all: Sequence[Link] = ()
    _captured: dict[int, tuple[str, ...]] | None = None

    def assign(self, links: Sequence[Link]) -> Iterator[Assignment]:
        """The assignments of all links: one for each variable of their layouts."""
        self._all = links
        there = {id(link.tensors) for link in links if self._is_there(link)}
        self.parts = {part for link in links if id(link.tensors) in there and (part := link.rule.part)}
        behind: set[int] = set()
        for link in links:
            part = link.rule.part
            absent = link.rule.spec.absent or (part.absent if part and part not in self.parts else "")
            if not absent or id(link.tensors) in there:
                self.links.append(link)
                yield from _compared(list(self._layer(link)), link.expressions)
            elif id(link.tensors) not in behind:
                behind.add(id(link.tensors))
                self.left += [Ignored(key, absent, link.rule.place) for key in link.claimed()]

    def _is_there(self, link: Link) -> bool:
        """Whether the target has any variable of a layer that it may lack; true where no target is known."""
        names = self.names
        if names is None or not (link.rule.spec.absent or link.rule.part):
            return True
        return any(names.candidates(variable_name(link.layer, entry)) for entry in link.expressions)

    def _layer(self, link: Link) -> Iterator[Assignment]:
        rule = link.rule
        for entry, expression in link.expressions.items():
            keys = link.sources(entry)
            if not has_sources(keys, expression) and entry not in rule.spec.fill:
                continue
            name = variable_name(link.layer, entry)
            try:
                variable = self._variable(name, link, entry)
                value = self.values.make(link, entry, variable, keys)
            except PlanError as error:
                self.problems += error.problems
                continue
            except AxesError as error:
                self._fault("shapes do not fit the expression", link, name, error)
                continue
            name = link.entries[entry] = variable.path if variable else name
            yield Assignment(
                name=name,
                value=value,
                dtype=self._dtype(variable, value),
                kind="moved" if value.sources else "filled",
                place=rule.place,
                link=link,
                entry=entry,
                variable=variable,
                reason="" if value.sources else f"'fill' of {rule.place}",
                blindness=value.recipe.blindness if value.sources else None,
            )

    def _variable(self, name: str, link: Link, entry: str) -> Variable | None:
        if self.names is None:
            return None
        candidates = self.names.candidates(name)
        if len(candidates) == 1:
            return candidates[0]
        place, subject = link.rule.place, f"{link.module} {entry}"
        problem = self.names.problem(name, where=f"{place} ({subject})")
        code = None if candidates else ProblemCode.NO_VARIABLE
        if self._captured is None:
            self._captured = varying_captures(self._all)
        unsaid = self._captured.get(id(link.rule))
        fix = unsaid_fix(link.rule, unsaid) if unsaid else problem.fix
        raise PlanError(replace(problem, fix=fix, code=code, place=place, subject=subject, names=(name, link.module)))

    def _dtype(self, variable: Variable | None, value: Value) -> np.dtype:
        """The element type to write: as asked for, the target's, or that of the sources, which arithmetic may
        have widened."""
        if self.dtype is not None:
            return self.dtype
        if variable is not None:
            return dtype_of(variable.dtype)
        recipe = value.recipe
        if not recipe.arithmetic and not any(isinstance(source, Derived) for source in value.sources):
            return recipe.dtype
        own = {leaf.dtype for source in value.sources for leaf in leaves(source)}
        narrow = own.pop() if len(own) == 1 else recipe.dtype
        return narrow if working_dtype(narrow) == recipe.dtype else recipe.dtype

    def _fault(self, what: str, link: Link, name: str, error: AxesError) -> None:
        place, names = link.rule.place, (name, link.module)
        excerpt = place.of("match").excerpt()
        fix = _SPLIT_FIX if link.part else _SHAPES_FIX
        self.problems.append(
            Problem(
                what, found=f"{name}: {error}", fix=fix, excerpt=excerpt, place=place, subject=link.module, names=names
            )
        )


_SHAPES_FIX = "check that this module and this layer are the same, and that the layout is for such tensors"
_SPLIT_FIX = f"{_SHAPES_FIX}; the parts of a 'split' are equal"


@lru_cache(maxsize=4096)
def _like(others: tuple[str, ...]) -> Blindness:
    """The blindness of a variable that others of its layer have the shape of; one for all layers of a kind."""
    return Blindness(BlindCause.SAME_SHAPE, f"same shape as {', '.join(others)}")


def _compared(made: list[Assignment], layout: Layout) -> Iterator[Assignment]:
    """The variables of one layer; those of one shape say so, for each could be taken for the other."""
    if len(made) < 2:
        yield from made
        return
    shapes = Counter(assignment.shape for assignment in made if assignment.kind == "moved")
    for assignment in made:
        alike = assignment.kind == "moved" and shapes[assignment.shape] > 1 and layout[assignment.entry].verify
        if alike and assignment.blindness is None:
            others = [other.entry for other in made if other.shape == assignment.shape and other is not assignment]
            assignment = replace(assignment, blindness=_like(tuple(others)))
        yield assignment
