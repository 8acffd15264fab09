"""How far two arrays are apart, and how far they may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remap.proving.limits import FLOOR, FLOOR_64, FLOOR_UNMEASURED, NOISE_FACTOR, PER_LAYER, PER_LAYER_64, TINY


@dataclass(frozen=True, slots=True)
class Difference:
    """Two arrays of one shape, compared.

    Args:
        largest: Largest absolute difference; infinite where one has a number and the other none.
        scale: Largest absolute value of the expected array.
        cosine: Cosine of the angle between them; 1 where both are zero.
    """

    largest: float
    scale: float
    cosine: float

    @property
    def relative(self) -> float:
        """``largest`` over ``scale``."""
        return self.largest / self.scale if self.scale else (0.0 if not self.largest else float("inf"))


def difference(expected: np.ndarray, actual: np.ndarray) -> Difference:
    """Compare two arrays of one shape; what is not finite on both sides alike counts as equal.

    >>> difference(np.array([1.0, 2.0]), np.array([1.0, 2.5])).relative
    0.25
    """
    with np.errstate(all="ignore"):
        quick = _of_floats(expected, actual) if expected.dtype == actual.dtype and expected.dtype.kind == "f" else None
        return quick or _carefully(expected, actual)


def _of_floats(expected: np.ndarray, actual: np.ndarray) -> Difference | None:
    """In the arrays' own precision, without copies of them; None where a number is not finite, or a square too small.

    The cosine comes from the distance, ``|a - b|^2 = (|a| - |b|)^2 + 2 |a| |b| (1 - cos)``: so it is as exact where
    the arrays are nearly equal as in double precision.
    """
    apart = np.subtract(expected, actual).ravel(order="K")
    left, right = expected.ravel(order="K"), actual.ravel(order="K")
    squares = [float(np.dot(array, array)) for array in (left, right, apart)]
    largest = largest_of(apart)
    if not np.all(np.isfinite(squares)) or (min(squares[:2]) < TINY and expected.size) or (largest and not squares[2]):
        return None
    one, other = np.sqrt(squares[:2])
    cosine = 1.0 - (squares[2] - (one - other) ** 2) / (2 * one * other) if expected.size else 1.0
    return Difference(largest, largest_of(left), float(np.clip(cosine, -1.0, 1.0)))


def _carefully(expected: np.ndarray, actual: np.ndarray) -> Difference:
    left, right = expected.astype(np.float64).ravel(), actual.astype(np.float64).ravel()
    finite = np.isfinite(left) & np.isfinite(right)
    if not finite.all():
        if not np.array_equal(left[~finite], right[~finite], equal_nan=True):
            return Difference(float("inf"), largest_of(left[np.isfinite(left)]), float("nan"))
        left, right = left[finite], right[finite]
    norms = float(np.linalg.norm(left)) * float(np.linalg.norm(right))
    same = np.array_equal(left, right)
    cosine = float(left @ right) / norms if norms else float(same)
    return Difference(0.0 if same else largest_of(left - right), largest_of(left), cosine)


def largest_of(array: np.ndarray) -> float:
    """Largest absolute value, 0 of none.

    >>> largest_of(np.array([-3.0, 2.0]))
    3.0
    """
    return max(float(array.max()), -float(array.min()), 0.0) if array.size else 0.0


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far the two sides may be apart after some layers.

    Args:
        atol: Absolute, where the user set it.
        rtol: Relative to the largest value, where the user set it.
        float64: Whether both sides are in double precision.
        share: What part of the tolerance is allowed, to look more closely.

    In single precision: sixteen times the rounding error that PyTorch itself shows at that place against double
    precision, and 2e-6 of the largest value at least. Where PyTorch does not run in double precision: 1e-5 of the
    largest value, and 1e-6 more for every layer before. Right conversions were measured at 5e-7 (ConvNeXt), 2e-5
    (ResNet-50) and 1.5e-4 (ResNet-152) of the largest output, silent mistakes at 10 000 times that. In double
    precision: 1e-11, and 1e-12 more for every layer; exact conversions were measured at 1e-16 to 5e-13.

    >>> f"{Tolerance().of(scale=2.0, layers=10):.1e}", f"{Tolerance().of(scale=2.0, layers=10, noise=1e-6):.1e}"
    ('4.0e-05', '1.6e-05')
    """

    atol: float | None = None
    rtol: float | None = None
    float64: bool = False
    share: float = 1.0

    def of(self, scale: float, layers: int, noise: float | None = None) -> float:
        """The largest absolute difference that is no finding.

        Args:
            scale: Largest value of the expected array.
            layers: Layers before.
            noise: PyTorch's own rounding error there, where it was measured.
        """
        return self.share * self._whole(scale, layers, noise)

    def _whole(self, scale: float, layers: int, noise: float | None) -> float:
        if self.atol is not None or self.rtol is not None:
            return (self.atol or 0.0) + (self.rtol or 0.0) * scale
        if self.float64:
            return (FLOOR_64 + PER_LAYER_64 * layers) * scale
        if noise is None:
            return (FLOOR_UNMEASURED + PER_LAYER * layers) * scale
        return max(FLOOR * scale, NOISE_FACTOR * noise)

    def words(self) -> str:
        """Where it comes from."""
        if self.atol is not None or self.rtol is not None:
            return f"as asked: atol {self.atol or 0:g}, rtol {self.rtol or 0:g} of the largest value"
        if self.float64:
            return (
                f"{FLOOR_64:g} of the largest value, and {PER_LAYER_64:g} for every layer before, in double precision"
            )
        return (
            f"{NOISE_FACTOR:g} times PyTorch's own rounding error against double precision, layer by layer, and "
            f"{FLOOR:g} of the largest value at least"
        )
