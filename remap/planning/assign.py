"""From matched groups of tensors to assignments: names filled in, variables found in the target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from remap.errors import PlanError, Problem
from remap.inventory.inventory import Variable
from remap.inventory.match import VariableNames
from remap.layout.axes import AxesError
from remap.layout.expression import Layout
from remap.layout.tiles import Value
from remap.planning.derived import Derived, leaves
from remap.planning.match import Group
from remap.planning.params import Scalar
from remap.planning.plan import Assignment, Ignored
from remap.planning.values import Values, found_sources, has_sources
from remap.rules.rulefile import RAW, IncludedPart, RuleFile
from remap.rules.template import TemplateError, parse_template
from remap.tensors.dtypes import dtype_of, working_dtype


@dataclass(slots=True)
class Assigner:
    """Makes the assignments of one plan; collects problems.

    Args:
        rules: The rule file.
        values: Makes the values.
        names: The target's variables by name, where a target is known.
        params: Values of the parameters.
        dtype: Element type to write, where the caller asks for one.
        problems: What does not fit.
        left: Tensors left behind, because the target lacks a layer that it may lack.
        parts: Included parts that may be missing, and that both sides have something of.
    """

    rules: RuleFile
    values: Values
    names: VariableNames | None
    params: Mapping[str, Scalar]
    dtype: np.dtype | None
    problems: list[Problem] = field(default_factory=list)
    left: list[Ignored] = field(default_factory=list)
    parts: set[IncludedPart] = field(default_factory=set)
    _layouts: dict[int, Layout] = field(default_factory=dict)

    def assign(self, groups: Sequence[Group]) -> Iterator[Assignment]:
        """The assignments of all groups: one for each variable of their layouts and each ``to``."""
        layers = [self._layers(group) for group in groups]
        there = [self._are_there(group, names) for group, names in zip(groups, layers, strict=True)]
        self.parts = {part for group, found in zip(groups, there, strict=True) if found and (part := group.rule.part)}
        for group, names, found in zip(groups, layers, there, strict=True):
            part = group.rule.part
            absent = group.rule.spec.absent or (part.absent if part and part not in self.parts else "")
            if absent and not found:
                keys = [key for tensors in group.tensors.values() for key in tensors.values()]
                self.left += [Ignored(key, absent, group.rule.place) for key in keys]
                continue
            for name in names:
                layout = self._layout(group)
                yield from _compared(list(self._layer(group, layout, name)), layout)

    def _layout(self, group: Group) -> Layout:
        layout = self._layouts.get(id(group.rule))
        if layout is None:
            layout = self._layouts[id(group.rule)] = self.rules.layout_of(group.rule.spec)
        return layout

    def _layers(self, group: Group) -> list[str]:
        """Names of the layers that a group goes to."""
        rule, captures = group.rule, group.captures
        if self.params:
            captures = {**{name: str(value) for name, value in self.params.items()}, **captures}
        layers = []
        for to in [rule.spec.to] if isinstance(rule.spec.to, str) else rule.spec.to:
            try:
                layers.append(parse_template(to).fill(captures, self.rules.tables))
            except TemplateError as error:
                self._fault("a template cannot be filled", group, f"'{to}': {error}")
        return layers

    def _are_there(self, group: Group, layers: Iterable[str]) -> bool:
        """Whether the target has any variable of a group that it may lack; true where no target is known."""
        names = self.names
        if names is None or not (group.rule.spec.absent or group.rule.part):
            return True
        return any(names.candidates(_joined(layer, entry)) for layer in layers for entry in self._layout(group))

    def _layer(self, group: Group, layout: Layout, layer: str) -> Iterator[Assignment]:
        rule = group.rule
        for entry, expression in layout.items():
            found = found_sources(group, expression)
            if not has_sources(found, expression) and entry not in rule.spec.fill:
                continue
            name = _joined(layer, entry)
            try:
                variable = self._variable(name, group, entry)
                value = self.values.make(group, layout, entry, layer, variable, found)
            except PlanError as error:
                self.problems += error.problems
                continue
            except AxesError as error:
                self._fault("shapes do not fit the expression", group, f"{name}: {error}")
                continue
            yield Assignment(
                name=variable.path if variable else name,
                value=value,
                dtype=self._dtype(variable, value),
                kind="moved" if value.sources else "filled",
                place=rule.place,
                layout=rule.spec.layout or RAW,
                entry=entry,
                module=group.module,
                captures=group.captures,
                variable=variable,
                reason="" if value.sources else f"'fill' of {rule.place}",
                blind=value.recipe.blind if value.sources else "",
            )

    def _variable(self, name: str, group: Group, entry: str) -> Variable | None:
        if self.names is None:
            return None
        found = self.names.candidates(name)
        if len(found) == 1:
            return found[0]
        problem = self.names.problem(name, where=f"{group.rule.place} ({group.module} {entry})")
        raise PlanError(problem)

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
        found = own.pop() if len(own) == 1 else recipe.dtype
        return found if working_dtype(found) == recipe.dtype else recipe.dtype

    def _fault(self, what: str, group: Group, found: str) -> None:
        place = group.rule.place
        self.problems.append(Problem(what, f"{place} ({group.module})", found, excerpt=place.of("match").excerpt()))


def _joined(layer: str, entry: str) -> str:
    return "/".join(part for part in (layer, entry) if part)


def _compared(made: list[Assignment], layout: Layout) -> Iterator[Assignment]:
    """The variables of one layer; those of one shape say so, for each could be taken for the other."""
    if len(made) < 2:
        yield from made
        return
    shapes = Counter(assignment.shape for assignment in made if assignment.kind == "moved")
    for assignment in made:
        alike = assignment.kind == "moved" and shapes[assignment.shape] > 1 and layout[assignment.entry].verify
        if alike and not assignment.blind:
            others = [other.entry for other in made if other.shape == assignment.shape and other is not assignment]
            assignment = replace(assignment, blind=f"same shape as {', '.join(others)}")
        yield assignment
