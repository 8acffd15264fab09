"""A PyTorch module and the Keras layer that is made from it, both described in one vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from remap.inventory.inventory import Inventory, Layer
from remap.proving.cause import Cause
from remap.proving.disagreement import Disagreement
from remap.sides.keras.operations import described_layer
from remap.sides.operation import Operation, Settings
from remap.sides.reference import TracedModule

LayerSizes = Callable[[], Mapping[str, tuple[int | None, ...]]]
"""Tells the spatial sizes of layers' inputs by path; asked where something depends on them."""


@dataclass(frozen=True)
class Mapped:
    """A pair to be compared.

    Args:
        path: Path of the module.
        module: The module.
        layer: The layer.
        target: What the layer is part of.
        sizes: Tells the sizes of inputs.
        folded: The PyTorch epsilon from which a difference is folded into the weights; None where none is.
    """

    path: str
    module: TracedModule
    layer: Layer
    target: Inventory
    sizes: LayerSizes
    folded: float | None = None

    @cached_property
    def _described(self) -> tuple[Operation, dict[str, Any]]:
        return described_layer(self.layer)

    @property
    def theirs(self) -> Settings:
        """What PyTorch's operation is set to."""
        return self.module.settings

    @property
    def ours(self) -> Settings:
        """What Keras's is."""
        return self._described[1]

    @property
    def operations(self) -> tuple[Operation, Operation]:
        """What both compute, PyTorch's first."""
        return self.module.operation, self._described[0]

    def told(
        self, setting: str, torch: str, keras: str, note: str = "", harmless: bool = False, code: str = ""
    ) -> Disagreement:
        """A setting in which the two disagree."""
        return Disagreement(self.layer.path, self.path, setting, torch, keras, note, harmless, code)

    def held(
        self, cause: Cause, note: str = "", *, setting: str = "", ours: Settings | None = None, harmless: bool = False
    ) -> Iterator[Disagreement]:
        """What the settings of both sides say of a cause, where it is one that settings tell.

        Args:
            cause: The cause.
            note: What it does, or why it does nothing.
            setting: What the setting is called; as the cause if empty.
            ours: Keras's settings, where they are others than the layer's.
            harmless: Whether outputs are equal all the same.
        """
        apart = cause.differs(self.theirs, self.ours if ours is None else ours) if cause.differs else None
        if apart is not None:
            yield self.told(setting or cause.name, *apart, note, harmless, cause.code)


Subject = Callable[[Mapped], Iterator[Disagreement]]


def words(value: Sequence[Any]) -> str:
    """Numbers, or pairs of them, for each axis, as short as they can be told.

    >>> words(((1, 1), (1, 1))), words(((0, 1), (0, 1))), words((4, 1))
    ('1', '(0, 1)', '(4, 1)')
    """
    entries = [entry[0] if isinstance(entry, tuple) and len(set(entry)) == 1 else entry for entry in value]
    return str(entries[0]) if len(set(entries)) == 1 else str(tuple(entries))
