"""What the check needs of the PyTorch side, whether it ran here or was recorded elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from remap.sides.feed import Feed
from remap.sides.operation import Operation
from remap.sides.trace import Trace


@dataclass(frozen=True, slots=True)
class TracedModule:
    """One module of the PyTorch network.

    Args:
        kind: Its class.
        settings: What its operation is set to, in the vocabulary of both sides.
        tensors: Names of all its tensors, those of its submodules included, relative to it.
        operation: What it computes.
        told: What PyTorch itself says of it, as :func:`remap.sides.torch.calls.module_settings` has it.
    """

    kind: str
    settings: Mapping[str, Any]
    tensors: tuple[str, ...] = ()
    operation: Operation = Operation.OTHER
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Reference:
    """The PyTorch side of a comparison.

    Args:
        source: Where it came from.
        feeds: The inputs.
        trace: What the network did with them; empty where nothing ran.
        modules: Every module by path.
        other_outputs: The outputs for another input, to measure how far outputs move.
        float64: Whether all of it was in double precision.
        calibrated: BatchNorm statistics that took the place of the checkpoint's, by key.
    """

    source: str
    feeds: list[Feed] = field(default_factory=list)
    trace: Trace = field(default_factory=Trace)
    modules: Mapping[str, TracedModule] = field(default_factory=dict)
    other_outputs: list[np.ndarray] = field(default_factory=list)
    float64: bool = False
    calibrated: Mapping[str, np.ndarray] = field(default_factory=dict)
