"""The value of one variable: its sources collected, its expression compiled, its epsilon folded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

import msgspec
import numpy as np

from remap.errors import PlanError
from remap.inventory.inventory import Inventory, Variable
from remap.layout.axes import parse_axes, parse_groups
from remap.layout.compile import Form, compile_recipe
from remap.layout.expression import Expression, Fill, Layout, like_parts, source_patterns
from remap.layout.ops import OPERATIONS
from remap.layout.recipe import Recipe, constant
from remap.layout.tiles import Source, Value
from remap.planning.batchnorm import absorbed_variance, folded_gamma
from remap.planning.epsilon import Epsilons
from remap.planning.infer import Graph
from remap.planning.match import Group
from remap.planning.operate import Caller, operate, operation
from remap.planning.params import Scalar, sizes_of
from remap.tensors.dtypes import dtype_of

MatchedKeys = list[dict[int, str]]
"""For each source pattern of an expression, the keys that it matched, by stacked index."""

CONSTANTS = {"zeros": 0.0, "ones": 1.0}


@dataclass(slots=True)
class Values:
    """Makes values; equal expressions over equal shapes share one recipe.

    Args:
        tensors: Source tensors by key, derived ones included.
        params: Values of the parameters.
        epsilons: BatchNorm epsilons.
        caller: Runs functions of the user's.
        target: The target's inventory, which tells some sizes.
    """

    tensors: Mapping[str, Source]
    params: Mapping[str, Scalar]
    epsilons: Epsilons
    caller: Caller
    target: Inventory | None = None
    _graph: Graph | None = None
    _recipes: dict[object, Recipe] = field(default_factory=dict)
    _singles: dict[int, Expression] = field(default_factory=dict)

    def make(
        self, group: Group, layout: Layout, entry: str, layer: str, variable: Variable | None, found: MatchedKeys
    ) -> Value:
        """The value of variable ``entry`` of a layout.

        Args:
            group: The tensors of the module.
            layout: The layout.
            entry: The variable.
            layer: Name of the Keras layer.
            variable: The target's record, where known.
            found: Its tensors, as :func:`found_sources` gives them.

        Raises:
            PlanError: Tensors are missing, or a fill or fold cannot be made.
            AxesError: Shapes do not fit.
        """
        expression = layout[entry]
        there = has_sources(found, expression)
        stand_in = None
        if there or expression.batchnorm is not None:
            stand_in = self._stand_in(group, layout, entry, layer, variable, found)
        if stand_in is not None:
            return self._compiled(group, self._alone(expression), [stand_in], ((0,),), variable)
        if not there:
            shape, dtype = self._fill_form(group, layout, expression, variable)
            return Value(constant(shape, fill_value(expression), dtype), ())
        _check_complete(group, entry, expression, found)
        sources = [self.tensors[key] for keys in found for _, key in sorted(keys.items())]
        ends = list(accumulate(len(keys) for keys in found))
        parts = tuple(tuple(range(end - len(keys), end)) for end, keys in zip(ends, found, strict=True))
        return self._compiled(group, expression, sources, parts, variable)

    def _stand_in(
        self, group: Group, layout: Layout, entry: str, layer: str, variable: Variable | None, found: MatchedKeys
    ) -> Source | None:
        """The computed source that takes the place of the expression's own, where something is computed."""
        expression = layout[entry]
        if expression.batchnorm is not None:
            return self._folded(group, layout, entry, layer, variable, found)
        if expression.call is not None:
            _check_complete(group, entry, expression, found)
            return self.caller.call(expression.call, self._flat(found), f"{group.rule.place} ({group.module})")
        if expression.op is not None:
            named = dict(zip(operation(expression.op).inputs, found, strict=False))
            inputs = {name: self._flat([keys])[0] for name, keys in named.items() if keys}
            sizes = {**self.params, **self._sizes(group, expression, variable)}
            options = {
                name: sizes.get(value, value) if isinstance(value, str) else value
                for name, value in expression.options.items()
            }
            where = f"{group.rule.place} ({group.module})"
            return operate(expression.op, inputs, options, f"{expression.op} of {group.module}", where)
        return None

    def _folded(
        self, group: Group, layout: Layout, entry: str, layer: str, variable: Variable | None, found: MatchedKeys
    ) -> Source | None:
        role = layout[entry].batchnorm
        epsilon = self.epsilons.of(group.rule, layer, variable)
        variance = self._first(group, layout, "variance") or self._first(group, layout, "variance_without_gamma")
        if role == "variance_without_gamma":
            if epsilon.target is None or variance is None:
                raise PlanError(
                    "the epsilon of the Keras layer is not known",
                    where=f"{group.rule.place} ({layer})",
                    fix="give --model, --target, or [batchnorm] target_epsilon",
                )
            gamma = self._flat(found[1:])
            return absorbed_variance(variance, gamma[0] if gamma else None, epsilon.source, epsilon.target)
        if epsilon.action != "fold" or epsilon.target is None or variance is None:
            return None
        if role == "gamma":
            own = self._flat(found)
            return folded_gamma(own[0] if own else None, variance, epsilon.source, epsilon.target)
        filled = {name for name in group.rule.spec.fill if layout[name].batchnorm == "gamma"}
        if filled or self._first(group, layout, "gamma") is not None:
            return None
        return absorbed_variance(variance, None, epsilon.source, epsilon.target)

    def _compiled(
        self,
        group: Group,
        expression: Expression,
        sources: list[Source],
        parts: tuple[tuple[int, ...], ...],
        variable: Variable | None,
    ) -> Value:
        forms = tuple([(source.shape, source.strides, source.dtype) for source in sources])
        shape = variable.shape if variable else None
        inferred = self._inferred(group, expression, variable)
        key = (id(expression), id(group.rule), forms, parts, shape, tuple(inferred.items()))
        recipe = self._recipes.get(key)
        if recipe is None:
            sizes = self._sizes(group, expression, variable)
            compiled = compile_recipe(expression, tuple(Form(*form) for form in forms), parts, sizes, shape)
            recipe = self._recipes[key] = compiled
        return Value(recipe, tuple(sources))

    def _sizes(self, group: Group, expression: Expression, variable: Variable | None) -> dict[str, int]:
        """Sizes that are known by name: the model's are the weakest word, the rule's the strongest."""
        told = sizes_of({**expression.sizes, **group.rule.spec.sizes}, self.params)
        return {**self._inferred(group, expression, variable), **told}

    def _inferred(self, group: Group, expression: Expression, variable: Variable | None) -> dict[str, int]:
        if not expression.infer or self.target is None or variable is None:
            return {}
        if self._graph is None:
            self._graph = Graph(self.target)
        layer = self.target.layers[variable.layer]
        found = {axis: self._graph.size(what, layer) for axis, what in expression.infer.items()}
        return {axis: size for axis, size in found.items() if size is not None}

    def _fill_form(
        self, group: Group, layout: Layout, expression: Expression, variable: Variable | None
    ) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and dtype of a fill: the variable's, or those of the tensor (or its axes) that ``like`` names."""
        if variable is not None:
            return variable.shape, dtype_of(variable.dtype)
        pattern, axes = like_parts(str(expression.like))
        keys = group.tensors.get(pattern)
        if not keys:
            raise PlanError(
                "cannot tell the shape of a fill",
                where=f"{group.rule.place} ({group.module})",
                expected=f"a tensor '{pattern}', which 'like' names",
            )
        tensor = self.tensors[next(iter(keys.values()))]
        if not axes:
            return tensor.shape, tensor.dtype
        sibling = next(e for e in layout.values() if e.axes is not None and pattern in source_patterns(e))
        sizes = self._sizes(group, sibling, None)
        known = parse_axes(str(sibling.axes)).solve(tensor.shape, sizes)
        shape = tuple(int(np.prod([known[name] for name in names])) for names in parse_groups(axes))
        return shape, tensor.dtype

    def _first(self, group: Group, layout: Layout, role: str) -> Source | None:
        """The first source of the layout's variable that has a part in folding."""
        for expression in layout.values():
            if expression.batchnorm == role:
                keys = group.tensors.get(source_patterns(expression)[0])
                return self.tensors[next(iter(keys.values()))] if keys else None
        return None

    def _alone(self, expression: Expression) -> Expression:
        """The expression for one source that stands for all of its own."""
        found = self._singles.get(id(expression))
        if found is None:
            found = msgspec.structs.replace(expression, sources="", stack=None, concat=None, reduce=None)
            self._singles[id(expression)] = found
        return found

    def _flat(self, found: MatchedKeys) -> list[Source]:
        return [self.tensors[key] for keys in found for _, key in sorted(keys.items())]


def found_sources(group: Group, expression: Expression) -> MatchedKeys:
    """The keys that each source pattern of an expression matched, empty where none."""
    return [group.tensors.get(pattern, {}) for pattern in source_patterns(expression)]


def has_sources(found: MatchedKeys, expression: Expression) -> bool:
    """Whether the module has what the variable is made from; if not, the layout leaves the variable out."""
    if expression.batchnorm == "variance_without_gamma":
        return bool(found[0])
    if expression.op in OPERATIONS and OPERATIONS[expression.op].any_of:
        inputs = zip(OPERATIONS[expression.op].inputs, found, strict=False)
        return any(keys for name, keys in inputs if name in OPERATIONS[str(expression.op)].any_of)
    return any(found)


def fill_value(expression: Expression) -> float:
    """The constant that an expression is filled with."""
    return number_of(expression.fill or 0.0)


def number_of(fill: Fill) -> float:
    """A constant, by its name or as it is.

    >>> number_of("ones")
    1.0
    """
    return CONSTANTS[fill] if isinstance(fill, str) else float(fill)


def _check_complete(group: Group, entry: str, expression: Expression, found: MatchedKeys) -> None:
    if all(found) and expression.stack is None:
        return
    where = f"{group.rule.place} ({group.module}: {entry})"
    missing = [p for p, keys in zip(source_patterns(expression), found, strict=True) if not keys]
    if missing:
        here = [key for keys in found for key in keys.values()]
        raise PlanError(
            "only some of a variable's tensors are there",
            where=where,
            found=", ".join(here[:4]),
            expected=f"also {', '.join(missing)}",
        )
    for keys in found:
        gaps = sorted(set(range(max(keys) + 1)) - set(keys))
        if gaps:
            raise PlanError(
                "a stack has gaps",
                where=where,
                found=f"{expression.stack} = {', '.join(map(str, sorted(keys)[:8]))}",
                expected=f"complete from 0; missing {', '.join(map(str, gaps[:8]))}",
            )
