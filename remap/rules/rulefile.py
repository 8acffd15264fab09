"""A rule file in memory: validated data, every rule with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from remap.layout.expression import Expression
from remap.layout.split import layouts_of_parts
from remap.rules.place import Place
from remap.rules.schema import About, BatchNorm, Derive, FillRule, Ignore, Keep, Param, Rename, SourceOptions

Spec = TypeVar("Spec", Rename, Ignore, Keep, FillRule, Derive)

RAW = "tensor"
"""Name of the layout of a rule that moves one tensor."""


@dataclass(frozen=True, slots=True)
class IncludedPart:
    """An included file that a checkpoint, or the target, may have nothing of.

    Args:
        place: Where it is included.
        absent: Why it may be missing.
    """

    place: Place
    absent: str


@dataclass(frozen=True, slots=True)
class Rule(Generic[Spec]):
    """One rule and where it stands.

    Args:
        spec: What it says.
        place: Its file and line.
        batchnorm: The BatchNorm rule of the file that it stands in.
        part: The part of the network that its file is for, where that is included as one that may be missing.
    """

    spec: Spec
    place: Place
    batchnorm: BatchNorm = field(default=BatchNorm(), repr=False)
    part: IncludedPart | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file with all that it includes.

    Args:
        path: Where it was read from.
        about: Its ``[about]``.
        batchnorm: Its ``[batchnorm]``.
        source: Its ``[source]``.
        params: Declared parameters by name.
        tables: Look-ups for templates.
        layouts: Built-in layouts and the file's own, by name; each maps Keras variables to expressions.
        layout_places: Where each layout of the file's own stands.
        param_places: Where each parameter stands.
        table_places: Where each look-up stands.
        renames: Rules that move something, ``[move]`` and ``[[rename]]``, those of included files too.
        ignores: ``[ignore]`` rules.
        keeps: ``[keep]`` rules.
        fills: ``[fill]`` rules.
        derives: ``[[derive]]`` rules.
        allows: What ``allow`` of the whole file says, each with its place; of included files for those.
    """

    path: Path
    about: About
    batchnorm: BatchNorm
    source: SourceOptions
    params: Mapping[str, Param]
    tables: Mapping[str, Mapping[str, int | str]]
    layouts: Mapping[str, Mapping[str, Expression]]
    layout_places: Mapping[str, Place]
    param_places: Mapping[str, Place]
    table_places: Mapping[str, Place]
    renames: tuple[Rule[Rename], ...]
    ignores: tuple[Rule[Ignore], ...]
    keeps: tuple[Rule[Keep], ...]
    fills: tuple[Rule[FillRule], ...]
    derives: tuple[Rule[Derive], ...]
    allows: tuple[tuple[str, Place], ...] = ()

    def layout_of(self, rule: Rename) -> Mapping[str, Expression]:
        """The layout of a rule; for one without, a single variable with an empty name."""
        if rule.layout is not None:
            return self.layouts[rule.layout]
        own = Expression("", rule.complex_part, axes=rule.axes, take=rule.take, order=rule.order, sizes=rule.sizes)
        return {"": own}

    def layouts_of(self, rule: Rename) -> list[Mapping[str, Expression]]:
        """The layout of each part of a rule that splits, in the order of its ``to``."""
        return layouts_of_parts(self.layout_of(rule), rule.split)
