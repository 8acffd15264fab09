"""The plan as data: what is written, from what, by which rule, and what is left on either side."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

import msgspec
import numpy as np

from remap.inventory.inventory import Inventory, Variable
from remap.layout.blind import Blindness
from remap.layout.tiles import Value
from remap.planning.derived import leaves
from remap.planning.link import Link
from remap.planning.parts import bytes_read, runs
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
        link: The module and layer that it belongs to; None for what ``[keep]`` and ``[fill]`` say.
        entry: The layout's name of the variable: ``kernel``.
        variable: The target's record, where a target is known.
        reason: For filled and kept variables, why.
        blindness: Why the shape could not show a wrong layout; None where it would.
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
    blindness: Blindness | None = None

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """As its fields in order, which takes half the bytes that their names would."""
        return Assignment, (
            sys.intern(self.name),
            self.value,
            self.dtype,
            self.kind,
            self.place,
            self.link,
            self.entry,
            self.variable,
            sys.intern(self.reason),
            self.blindness,
        )

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
    def blind(self) -> str:
        """Why the shape could not show a wrong layout, in words; empty where it would."""
        return "" if self.blindness is None else str(self.blindness)

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


class EpsilonOrigin(StrEnum):
    """Who says what the epsilon of a PyTorch layer is; a state_dict holds none."""

    FILE = "file"
    PARAMETER = "parameter"
    MODULE = "module"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class EpsilonMismatch:
    """A BatchNorm whose two sides have different epsilons, and what is done about it.

    Args:
        layer: The Keras layer.
        source: PyTorch's.
        target: Keras's.
        action: What is done.
        origin: Who says what PyTorch's is.
    """

    layer: str
    source: float
    target: float
    action: Literal["accept", "fold"]
    origin: EpsilonOrigin = EpsilonOrigin.FILE


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader should know though nothing is wrong.

    Args:
        text: A sentence.
        place: The rule that it is about, where it is about one.
    """

    text: str
    place: Place | None = None


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
        remarks: What a reader should know though nothing is wrong.
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
    remarks: tuple[Remark, ...] = ()
    params: Mapping[str, int | float | str] = field(default_factory=dict)
    derived_from: tuple[str, ...] = ()
    recognised: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The remarks in words."""
        return tuple(remark.text for remark in self.remarks)

    @property
    def nbytes(self) -> int:
        """Bytes that will be written."""
        return sum(assignment.nbytes for assignment in self.assignments)

    def parts(self, count: int) -> tuple[Plan, ...]:
        """Plans that can be carried out by themselves and together are this one.

        Each has a run of the assignments, weighed by bytes read and written, and what they need: their tensors, links
        and variables. What belongs to no variable (tensors left behind, warnings) goes with the first. A part is empty
        only where there are fewer assignments than parts.

        Args:
            count: How many, 1 or more.

        Raises:
            ValueError: ``count`` is less than 1.
        """
        if count < 1:
            raise ValueError(f"a plan is split into 1 part or more, not {count}")
        weights = [bytes_read(assignment.value) + assignment.nbytes for assignment in self.assignments]
        chosen = [self.assignments[run] for run in runs(weights, count)]
        read = [_tensors(assignments) for assignments in chosen]
        read[0] |= self.checkpoint.keys() - set().union(*read)
        return tuple(
            self._part(assignments, tensors, number == 0)
            for number, (assignments, tensors) in enumerate(zip(chosen, read, strict=True))
        )

    def _part(self, assignments: tuple[Assignment, ...], tensors: set[str], first: bool) -> Plan:
        target, checkpoint = self.target, self.checkpoint
        links = {id(link) for assignment in assignments if (link := assignment.link) is not None}
        layers = {link.layer for link in self.links if id(link) in links}
        layers |= {assignment.name.rpartition("/")[0] for assignment in assignments}  # of rules for one variable
        if target is not None:
            own = {assignment.variable.path for assignment in assignments if assignment.variable is not None}
            variables = tuple(variable for variable in target.variables if variable.path in own)
            target = msgspec.structs.replace(target, variables=variables)
        return replace(
            self,
            checkpoint=Checkpoint(
                checkpoint.path,
                checkpoint.format,
                {name: tensor for name, tensor in checkpoint.items() if name in tensors},
                checkpoint.peeled,
                checkpoint.skipped if first else (),
            ),
            target=target,
            assignments=assignments,
            links=tuple(link for link in self.links if id(link) in links or (first and not link.entries)),
            ignored=self.ignored if first else (),
            epsilons=tuple(mismatch for mismatch in self.epsilons if mismatch.layer in layers),
            remarks=self.remarks if first else (),
            derived_from=tuple(name for name in self.derived_from if name in tensors),
        )


def _tensors(assignments: tuple[Assignment, ...]) -> set[str]:
    """Names of the checkpoint's tensors that assignments read."""
    sources = (source for assignment in assignments for source in assignment.value.sources)
    return {leaf.name for source in sources for leaf in leaves(source)}
