"""Links: which module became which layer, by which rule, tensor by tensor."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from remap.layout.expression import Expression, Layout, source_patterns
from remap.layout.ops import OPERATIONS
from remap.rules.rulefile import RAW, Rule
from remap.rules.schema import Rename

MatchedKeys = list[Mapping[int, str]]
"""For each source pattern of an expression, the keys that it stands for, by stacked index."""
_NONE: Mapping[int, str] = {}


@dataclass(slots=True, eq=False)
class Link:
    """One rule, one module, one layer; never changed once its plan is made.

    Not frozen all the same, as :class:`~remap.planning.plan.Assignment` is not. A rule that writes one module to
    several layers gives a link for each of them, which share their ``tensors``.

    Args:
        rule: The rule.
        module: Path of the PyTorch module; the whole key for a rule without a layout.
        captures: What the rule and its layout captured, stacked indices left out.
        layer: The Keras layer as the rule names it: scopes in front may be left out.
        expressions: The rule's layout: how each of the layer's variables is made.
        tensors: For each source pattern of the layout, the keys that it stands for, by stacked index (-1 where nothing
            is stacked).
        entries: The variables that are made: their name in the layout to their name in the target.
        part: Which part of a split this is, from 1; 0 where the module is not split.
    """

    rule: Rule[Rename]
    module: str
    captures: Mapping[str, str]
    layer: str
    expressions: Layout
    tensors: dict[str, dict[int, str]] = field(default_factory=dict)
    entries: dict[str, str] = field(default_factory=dict)
    part: int = 0

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        entries = {entry: sys.intern(name) for entry, name in self.entries.items()}
        named = (self.rule, self.module, self.captures, self.layer)
        return Link, (*named, self.expressions, self.tensors, entries, self.part)

    @property
    def layout(self) -> str:
        """Name of the layout, ``tensor`` for a rule without one."""
        return self.rule.spec.layout or RAW

    @property
    def holder(self) -> str:
        """Path of the module that holds the tensors; the one around the tensor for a rule without a layout."""
        return self.module if self.rule.spec.layout is not None else self.module.rpartition(".")[0]

    def claimed(self) -> Iterator[str]:
        """Every key that the rule claims for this module."""
        return (key for keys in self.tensors.values() for key in keys.values())

    def sources(self, entry: str) -> MatchedKeys:
        """For each source pattern of a variable's expression the keys that it stands for, none where it has none."""
        return [self.tensors.get(pattern, _NONE) for pattern in source_patterns(self.expressions[entry])]


def has_sources(keys: MatchedKeys, expression: Expression) -> bool:
    """Whether a module has what a variable is made from; if not, its layout leaves the variable out."""
    if expression.batchnorm == "variance_without_gamma":
        return bool(keys[0])
    operation = OPERATIONS.get(expression.op or "")
    if operation is not None and operation.any_of:
        inputs = zip(operation.inputs, keys, strict=False)
        return any(there for name, there in inputs if name in operation.any_of)
    return any(keys)


def variable_name(layer: str, entry: str) -> str:
    """The name of a layer's variable; either may be empty.

    >>> variable_name("conv1", "kernel"), variable_name("conv1/kernel", "")
    ('conv1/kernel', 'conv1/kernel')
    """
    return f"{layer}/{entry}" if layer and entry else layer or entry
