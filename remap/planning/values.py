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
from remap.layout.expression import Expression, Fill, like_parts, source_patterns
from remap.layout.recipe import Recipe, constant
from remap.layout.tiles import Source, Value
from remap.planning.batchnorm import absorbed_variance, folded_gamma
from remap.planning.complex_part import part_of
from remap.planning.epsilon import Epsilons
from remap.planning.infer import Graph
from remap.planning.link import Link, MatchedKeys, has_sources
from remap.planning.operate import Caller, operate, operation
from remap.planning.params import Scalar, sizes_of
from remap.tensors.dtypes import dtype_of

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

    def make(self, link: Link, entry: str, variable: Variable | None, keys: MatchedKeys) -> Value:
        """The value of variable ``entry`` of a layout.

        Args:
            link: The module and the layer.
            entry: The variable.
            variable: The target's record, where known.
            keys: Its tensors, as :meth:`Link.sources` gives them.

        Raises:
            PlanError: Tensors are missing, or a fill or fold cannot be made.
            AxesError: Shapes do not fit.
        """
        expression = link.expressions[entry]
        there = has_sources(keys, expression)
        stand_in = None
        if there or expression.batchnorm is not None:
            stand_in = self._stand_in(link, entry, variable, keys)
        if stand_in is not None:
            return self._compiled(link, self._alone(expression), [stand_in], ((0,),), variable)
        if not there:
            shape, dtype = self._fill_form(link, expression, variable)
            return Value(constant(shape, fill_value(expression), dtype), ())
        _check_complete(link, entry, expression, keys)
        sources = self._parts(expression, keys)
        ends = list(accumulate(map(len, keys)))
        parts = tuple(tuple(range(end - len(own), end)) for end, own in zip(ends, keys, strict=True))
        return self._compiled(link, expression, sources, parts, variable)

    def _stand_in(self, link: Link, entry: str, variable: Variable | None, keys: MatchedKeys) -> Source | None:
        """The computed source that takes the place of the expression's own, where something is computed."""
        expression, place = link.expressions[entry], link.rule.place
        if expression.batchnorm is not None:
            return self._folded(link, entry, variable, keys)
        if expression.call is not None:
            _check_complete(link, entry, expression, keys)
            return self.caller.call(expression.call, self._parts(expression, keys), place, link.module)
        if expression.op is not None:
            named = dict(zip(operation(expression.op).inputs, keys, strict=False))
            inputs = {name: self._parts(expression, [own])[0] for name, own in named.items() if own}
            sizes = {**self.params, **self._sizes(link, expression, variable)}
            options = {
                name: sizes.get(value, value) if isinstance(value, str) else value
                for name, value in expression.options.items()
            }
            return operate(expression.op, inputs, options, f"{expression.op} of {link.module}", place, link.module)
        return None

    def _folded(self, link: Link, entry: str, variable: Variable | None, keys: MatchedKeys) -> Source | None:
        role = link.expressions[entry].batchnorm
        variance = self._first(link, "variance") or self._first(link, "variance_without_gamma")
        epsilon = self.epsilons.of(link, variable, variance.name if variance is not None else "")
        if role == "variance_without_gamma":
            if epsilon.target is None or variance is None:
                raise PlanError(
                    "the epsilon of the Keras layer is not known",
                    place=link.rule.place,
                    subject=link.layer,
                    names=(link.layer,),
                    fix="give --model, --target, or [batchnorm] target_epsilon",
                )
            gamma = self._flat(keys[1:])
            return absorbed_variance(variance, gamma[0] if gamma else None, epsilon.source, epsilon.target)
        if epsilon.action != "fold" or epsilon.target is None or variance is None:
            return None
        if role == "gamma":
            own = self._flat(keys)
            return folded_gamma(own[0] if own else None, variance, epsilon.source, epsilon.target)
        filled = {name for name in link.rule.spec.fill if link.expressions[name].batchnorm == "gamma"}
        if filled or self._first(link, "gamma") is not None:
            return None
        return absorbed_variance(variance, None, epsilon.source, epsilon.target)

    def _compiled(
        self,
        link: Link,
        expression: Expression,
        sources: list[Source],
        parts: tuple[tuple[int, ...], ...],
        variable: Variable | None,
    ) -> Value:
        forms = tuple([(source.shape, source.strides, source.dtype) for source in sources])
        shape = variable.shape if variable else None
        inferred = self._inferred(expression, variable)
        key = (id(expression), id(link.rule), forms, parts, shape, tuple(inferred.items()))
        recipe = self._recipes.get(key)
        if recipe is None:
            sizes = self._sizes(link, expression, variable)
            compiled = compile_recipe(expression, tuple(Form(*form) for form in forms), parts, sizes, shape)
            recipe = self._recipes[key] = compiled
        return Value(recipe, tuple(sources))

    def _sizes(self, link: Link, expression: Expression, variable: Variable | None) -> dict[str, int]:
        """Sizes that are known by name: the model's are the weakest word, the rule's the strongest."""
        told = sizes_of({**expression.sizes, **link.rule.spec.sizes}, self.params)
        return {**self._inferred(expression, variable), **told}

    def _inferred(self, expression: Expression, variable: Variable | None) -> dict[str, int]:
        if not expression.infer or self.target is None or variable is None:
            return {}
        if self._graph is None:
            self._graph = Graph(self.target)
        layer = self.target.layers[variable.layer]
        told = {axis: self._graph.size(what, layer) for axis, what in expression.infer.items()}
        return {axis: size for axis, size in told.items() if size is not None}

    def _fill_form(
        self, link: Link, expression: Expression, variable: Variable | None
    ) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and dtype of a fill: the variable's, or those of the tensor (or its axes) that ``like`` names."""
        if variable is not None:
            return variable.shape, dtype_of(variable.dtype)
        pattern, axes = like_parts(str(expression.like))
        keys = link.tensors.get(pattern)
        if not keys:
            raise PlanError(
                "cannot tell the shape of a fill",
                place=link.rule.place,
                subject=link.module,
                names=(link.module,),
                expected=f"a tensor '{pattern}', which 'like' names",
            )
        tensor = self.tensors[next(iter(keys.values()))]
        if not axes:
            return tensor.shape, tensor.dtype
        sibling = next(e for e in link.expressions.values() if e.axes is not None and pattern in source_patterns(e))
        sizes = self._sizes(link, sibling, None)
        known = parse_axes(str(sibling.axes)).solve(tensor.shape, sizes)
        shape = tuple(int(np.prod([known[name] for name in names])) for names in parse_groups(axes))
        return shape, tensor.dtype

    def _first(self, link: Link, role: str) -> Source | None:
        """The first source of the layout's variable that has a part in folding."""
        for expression in link.expressions.values():
            if expression.batchnorm == role:
                keys = link.tensors.get(source_patterns(expression)[0])
                return self.tensors[next(iter(keys.values()))] if keys else None
        return None

    def _alone(self, expression: Expression) -> Expression:
        """The expression for one source that stands for all of its own."""
        single = self._singles.get(id(expression))
        if single is None:
            single = msgspec.structs.replace(expression, sources="", stack=None, concat=None, reduce=None)
            self._singles[id(expression)] = single
        return single

    def _parts(self, expression: Expression, keys: MatchedKeys) -> list[Source]:
        """The sources of an expression: of complex ones what it asks for."""
        sources, part = self._flat(keys), expression.complex_part
        return sources if part is None else [part_of(source, part) for source in sources]

    def _flat(self, keys: MatchedKeys) -> list[Source]:
        return [self.tensors[key] for own in keys for _, key in sorted(own.items())]


def fill_value(expression: Expression) -> float:
    """The constant that an expression is filled with."""
    return number_of(expression.fill or 0.0)


def number_of(fill: Fill) -> float:
    """A constant, by its name or as it is.

    >>> number_of("ones")
    1.0
    """
    return CONSTANTS[fill] if isinstance(fill, str) else float(fill)


def _check_complete(link: Link, entry: str, expression: Expression, keys: MatchedKeys) -> None:
    if all(keys) and expression.stack is None:
        return
    at = {"place": link.rule.place, "subject": f"{link.module}: {entry}"}
    missing = [p for p, own in zip(source_patterns(expression), keys, strict=True) if not own]
    if missing:
        here = [key for own in keys for key in own.values()]
        raise PlanError(
            "only some of a variable's tensors are there",
            **at,
            found=", ".join(here[:4]),
            names=tuple(here[:4]),
            expected=f"also {', '.join(missing)}",
        )
    for own in keys:
        gaps = sorted(set(range(max(own) + 1)) - set(own))
        if gaps:
            raise PlanError(
                "a stack has gaps",
                **at,
                found=f"{expression.stack} = {', '.join(map(str, sorted(own)[:8]))}",
                expected=f"complete from 0; missing {', '.join(map(str, gaps[:8]))}",
            )
