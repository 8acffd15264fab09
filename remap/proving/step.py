"""One call of either side with its arrays, and the call once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from remap.sides.keras.rerun import rerun
from remap.sides.keras.side import ACTIVATION
from remap.sides.operation import Operation, Settings
from remap.sides.trace import Call, Trace
from remap.tensors.dtypes import dtype_of


@dataclass(frozen=True, slots=True)
class Step:
    """One call at a place where two networks part, with its arrays.

    Args:
        call: What was called.
        layer: The live Keras layer, operation or activation; None on the PyTorch side.
        inputs: What went in.
        output: What came out first.
        noise: Rounding error of the output, where it was measured.
        place: Which of the inputs the step before made.
    """

    call: Call
    layer: Any
    inputs: tuple[np.ndarray, ...]
    output: np.ndarray
    noise: float | None = None
    place: int = 0

    @property
    def operation(self) -> Operation:
        """What it computes."""
        return self.call.operation

    @property
    def settings(self) -> Settings:
        """What its operation is set to, in the vocabulary of both sides."""
        return self.call.settings

    @property
    def shown(self) -> str:
        """What it computes, as messages call it."""
        return self.call.shown

    @property
    def name(self) -> str:
        """Name of the layer that messages point to."""
        return self.call.name.removesuffix(ACTIVATION)

    @property
    def dtype(self) -> np.dtype:
        """What it computes in: an array of bfloat16 is held as float32."""
        narrow = getattr(self.layer, "compute_dtype", None) == "bfloat16" and self.output.dtype == np.float32
        return dtype_of("bfloat16") if narrow else self.output.dtype

    @property
    def weightless(self) -> bool:
        """Whether the layer holds no numbers of its own."""
        return not list(getattr(self.layer, "weights", ()))

    @property
    def pads(self) -> bool:
        """Whether it puts values around its input, and does nothing else."""
        return self.operation is Operation.PADDING

    def rerun(
        self, settings: Mapping[str, Any] | None = None, weights: Mapping[str, np.ndarray] | None = None
    ) -> np.ndarray:
        """What the layer makes of the same inputs, called in the same way: :func:`remap.sides.keras.rerun.rerun`."""
        return rerun(self.layer, self.inputs, settings, weights, self.call.keywords)

    @property
    def attends(self) -> bool:
        """Whether it is attention as a function of queries, keys and values, which has no weights of its own."""
        return self.operation is Operation.ATTENTION and self.call.function


def step_of(
    trace: Trace, call: Call, layer: Any, instead: Mapping[int, np.ndarray] | None = None, chain: int | None = None
) -> Step:
    """A call with its arrays.

    Args:
        trace: The run that it is part of.
        call: The call.
        layer: Its live Keras layer; None on the PyTorch side.
        instead: Arrays to take in the place of some of the trace's, by position.
        chain: Position of the input that the step before made.
    """
    instead = instead or {}
    value = call.outputs[0]
    inputs = tuple(instead.get(i, trace.values[i]) for i in call.inputs)
    place = call.inputs.index(chain) if chain in call.inputs else 0
    return Step(call, layer, inputs, trace.values[value], trace.noise.get(value), place)


def again(step: Step, value: np.ndarray) -> np.ndarray:
    """A step once more, on another value of what the step before made, wherever it takes that in."""
    if step.call.name.endswith(ACTIVATION):
        return activated(step.layer, value)
    places = step.call.inputs
    inputs = [value if at == places[step.place] else old for at, old in zip(places, step.inputs, strict=True)]
    return rerun(step.layer, inputs, keywords=step.call.keywords)


def activated(function: Any, value: np.ndarray) -> np.ndarray:
    """A Keras activation function on an array."""
    from remap.sides.framework import import_keras
    from remap.tensors.to_numpy import to_numpy

    return np.asarray(to_numpy(function(import_keras().ops.convert_to_tensor(value))))
