"""NaN and infinities among the numbers that are written: they stay as they are, and are counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_INFINITY = {"float16": 0x7C00, "bfloat16": 0x7F80, "float8_e5m2": 0x7C, "float8_e4m3fn": 0x7F}
"""Of narrow floats, the least bits, but for the sign, that are no finite number: their own functions are slow."""


@dataclass(frozen=True, slots=True)
class NotFinite:
    """What a variable holds besides finite numbers.

    Args:
        nan: How many NaN.
        infinite: How many infinities.
        name: The variable.

    >>> str(NotFinite(3, 0, "conv/kernel"))
    'conv/kernel: 3 NaN'
    """

    nan: int = 0
    infinite: int = 0
    name: str = ""

    def __bool__(self) -> bool:
        return bool(self.nan or self.infinite)

    def __str__(self) -> str:
        counts = ((self.nan, "NaN"), (self.infinite, "infinite"))
        return f"{self.name}: {', '.join(f'{count:,} {kind}' for count, kind in counts if count)}"


def not_finite(array: np.ndarray) -> NotFinite:
    """Count NaN and infinities.

    >>> not_finite(np.array([1, np.nan, -np.inf, np.inf], "f4"))
    NotFinite(nan=1, infinite=2, name='')
    """
    if array.dtype.kind in "iub" or _all_finite(array):
        return NotFinite()
    with np.errstate(invalid="ignore"):  # what ml_dtypes says of signalling NaN
        nan, infinite = np.isnan(array), np.isinf(array)
    return NotFinite(int(np.count_nonzero(nan)), int(np.count_nonzero(infinite)))


def _all_finite(array: np.ndarray) -> bool:
    infinity = _INFINITY.get(array.dtype.name)
    if infinity is None:
        return bool(np.isfinite(array).all())
    bits = array.view(f"u{array.itemsize}")
    sign = 1 << (8 * array.itemsize - 1)
    return bool(((bits & bits.dtype.type(sign - 1)) < infinity).all())
