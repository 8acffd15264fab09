"""The plan as data: what is written, from what, by which rule, and what is left on either side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from remap.inventory.inventory import Inventory, Variable
from remap.layout.tiles import Value
from remap.planning.link import Link
from remap.rules.place import Place
from remap.rules.rulefile import RuleFile
from remap.tensors.tensor import Checkpoint

Kind = Literal["moved", "filled", "kept"]


@dataclass(slots=True, eq=False)
class Assignment:
    """One Keras variable and all that is known of how it is made; never changed once made.

    Not frozen all the same: large models have a hundred thousand, and a frozen one takes twice as long to make.

    Args:
        name: Keras path, ``conv1_conv/kernel``; the inventory's where there is one.
        value: Its numbers: a recipe and the sources.
        dtype: Element type as written.
        kind: ``moved`` from source tensors, ``filled`` with a constant, ``kept`` at its initial value.
        place: The rule's file and line.
        link: The module and layer that it belongs to; None for what ``[[keep]]`` and ``[[fill]]`` say.
        entry: The layout's name of the variable: ``kernel``.
        variable: The target's record, where a target is known.
        reason: For filled and kept variables, why.
        blind: Why the shape could not show a wrong layout; empty where it would.
    """

    name: str
    value: Value
    dtype: np.dtype
    kind: Kind
    place: Place
    link: Link | None = None
    entry: str = ""
    variable: Variable | None = None
    reason: str = ""
    blind: str = ""

    @property
    def layout(self) -> str:
        """Name of the layout, ``tensor`` for a rule without one; empty without a link."""
        return self.link.layout if self.link is not None else ""

    @property
    def module(self) -> str:
        """Path of the PyTorch module, or the whole key for a rule without a layout; empty without a link."""
        return self.link.module if self.link is not None else ""

    @property
    def captures(self) -> Mapping[str, str]:
        """What the rule captured."""
        return self.link.captures if self.link is not None else {}

    @property
    def layer(self) -> str:
        """The Keras layer: the name without the layout's name of the variable."""
        return self.name.removesuffix(f"/{self.entry}") if self.entry else self.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the variable as written."""
        return self.value.recipe.shape

    @property
    def nbytes(self) -> int:
        """Bytes of the variable as written."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the source tensors."""
        return tuple(source.name for source in self.value.sources)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A source tensor that a rule leaves behind."""

    name: str
    reason: str
    place: Place


@dataclass(frozen=True, slots=True)
class EpsilonMismatch:
    """A BatchNorm whose two sides have different epsilons, and what is done about it."""

    layer: str
    source: float
    target: float
    action: Literal["accept", "fold"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a conversion will do, made from headers alone.

    Args:
        rules: The rule file.
        checkpoint: The source.
        target: The target's inventory, where one is known.
        assignments: One for each variable, in the order of the target where known, of the rules otherwise.
        links: Which module became which layer, in the order of the checkpoint; those that the target lacks left out.
        ignored: Source tensors left behind.
        epsilons: BatchNorm layers whose epsilons differ.
        warnings: What a reader should know though nothing is wrong.
        params: Values of the parameters.
        derived_from: Source tensors used up by ``[[derive]]``.
        recognised: Why this rule file was chosen, and what came second, where remap chose it.
    """

    rules: RuleFile
    checkpoint: Checkpoint
    target: Inventory | None
    assignments: tuple[Assignment, ...]
    links: tuple[Link, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    epsilons: tuple[EpsilonMismatch, ...] = ()
    warnings: tuple[str, ...] = ()
    params: Mapping[str, int | float | str] = field(default_factory=dict)
    derived_from: tuple[str, ...] = ()
    recognised: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes that will be written."""
        return sum(assignment.nbytes for assignment in self.assignments)
