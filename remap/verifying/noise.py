"""How much a network rounds: single against double precision, value by value."""

from __future__ import annotations

from typing import Any

import numpy as np

from remap.verifying.trace import Recorder, Trace


class NoiseRecorder(Recorder):
    """Holds each value of a run in double precision against that of an earlier run, and keeps the distance alone.

    Args:
        single: The run in single precision.
        to_numpy: See :class:`~remap.verifying.trace.Recorder`.
        is_tensor: Likewise.
        version: Likewise.

    Attributes:
        noise: Largest absolute distance by position in ``single.values``.
        same: Whether the two runs did the same, as far as shapes tell.
    """

    def __init__(self, single: Trace, to_numpy: Any, is_tensor: Any, version: Any) -> None:
        super().__init__(to_numpy, is_tensor, version)
        self.noise: dict[int, float] = {}
        self.same = True
        self._single = single
        self._count = 0

    def keep(self, array: np.ndarray) -> int:
        position = self._count
        self._count += 1
        known = self._single.values
        if position >= len(known) or known[position].shape != array.shape:
            self.same = False
        elif array.dtype.kind == "f" and array.size and self.same:
            with np.errstate(all="ignore"):
                apart = float(np.max(np.abs(known[position].astype(np.float64) - array)))
            if np.isfinite(apart):
                self.noise[position] = apart
        return position
