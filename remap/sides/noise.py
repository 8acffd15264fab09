"""How much a network rounds: single against double precision, call by call."""

from __future__ import annotations

from typing import Any

import numpy as np

from remap.sides.trace import Call, Recorder, Trace, flatten

BEYOND_SINGLE = float(np.finfo(np.float32).max)
"""Values that are further apart were not rounded: a mask's lowest number is another one in double precision."""


class NoiseRecorder(Recorder):
    """Holds what each call gives in double precision against what it gave in an earlier run; keeps the distance alone.

    Args:
        single: The run in single precision.
        to_numpy: See :class:`~remap.sides.trace.Recorder`.
        is_tensor: Likewise.
        version: Likewise.

    Attributes:
        noise: Largest absolute distance by position in ``single.values``.
        same: Whether the two runs did the same, as far as calls and shapes tell.
        lowered: Whether a call gave less than double precision for an input in double precision.
    """

    def __init__(self, single: Trace, to_numpy: Any, is_tensor: Any, version: Any) -> None:
        super().__init__(to_numpy, is_tensor, version)
        self.noise: dict[int, float] = {}
        self.same = True
        self.lowered = False
        self._double: set[int] = set()
        self._single = single

    def begin(self, call: Call, inputs: Any) -> int:
        index = super().begin(call, inputs)
        if any("float64" in str(tensor.dtype) for _, tensor in flatten(inputs, self._is_tensor)):
            self._double.add(index)
        return index

    def end(self, index: int, outputs: Any) -> None:
        super().end(index, outputs)
        given = [self._to_numpy(tensor) for _, tensor in flatten(outputs, self._is_tensor)]
        if index in self._double:
            self.lowered |= any(array.dtype == np.float32 for array in given)
        known = self._single.calls[index] if index < len(self._single.calls) else None
        if known is None or known.kind != self.trace.calls[index].kind:
            self.same = False
        if not self.same or known is None or len(known.outputs) != len(given):
            return
        for position, array in zip(known.outputs, given, strict=True):
            self._hold(position, array)

    def _hold(self, position: int, array: np.ndarray) -> None:
        single = self._single.values[position]
        if single.shape != array.shape:
            self.same = False
        elif array.dtype.kind == "f" and array.size:
            with np.errstate(all="ignore"):
                apart = float(np.max(np.abs(single.astype(np.float64) - array)))
            if apart < BEYOND_SINGLE:
                self.noise[position] = max(apart, self.noise.get(position, 0.0))

    def note(self, tensor: Any) -> int | None:
        """Nothing is kept."""
        return None
