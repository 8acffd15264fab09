"""BatchNorm across the border: the two epsilons, and folding their difference in exactly.

torch normalises by ``sqrt(variance + source_epsilon)``, Keras by ``sqrt(variance + target_epsilon)``.
Equal outputs need ``gamma' = gamma * sqrt((variance + target) / (variance + source))``, which is
exact for any variance. Without a gamma in Keras, ``variance' = (variance + source) / gamma^2 - target``
is, where it stays positive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remap.errors import PlanError
from remap.layout.tiles import Source
from remap.planning.derived import Derived
from remap.tensors.dtypes import working_dtype
from remap.tensors.tensor import ArrayStorage, Tensor


def folded_gamma(gamma: Source | None, variance: Source, source: float, target: float) -> Derived:
    """Gamma that makes up for the difference of the epsilons; ``gamma`` None stands for ones.

    Raises:
        PlanError: When computed, if a variance is negative.
    """

    def compute(arrays: list[np.ndarray]) -> np.ndarray:
        _not_negative(arrays[0], variance)
        factor = np.sqrt((arrays[0] + target) / (arrays[0] + source))
        return np.asarray(factor if gamma is None else arrays[1] * factor)

    inputs = [variance] if gamma is None else [variance, gamma]
    name = f"gamma folded with {variance.name}"
    return Derived(name, variance.shape, working_dtype(variance.dtype), inputs, compute)


def absorbed_variance(variance: Source, gamma: Source | None, source: float, target: float) -> Derived:
    """Variance that takes up both gamma and the difference of the epsilons, for layers without a gamma.

    Raises:
        PlanError: When computed, if gamma is not positive or the result is negative.
    """

    def compute(arrays: list[np.ndarray]) -> np.ndarray:
        _not_negative(arrays[0], variance)
        scale = arrays[1] if gamma is not None else np.ones_like(arrays[0])
        found = (arrays[0] + source) / np.where(scale > 0, scale, 1.0) ** 2 - target
        wrong = np.flatnonzero((scale <= 0) | (found < 0))
        if len(wrong):
            channel = int(wrong[0])
            raise PlanError(
                "the variance cannot take up gamma and epsilon",
                where=f"{variance.name}, {len(wrong)} channels, first {channel}",
                found=f"gamma {scale[channel]:g}, variance {arrays[0][channel]:g}, result {found[channel]:g}",
                expected="positive gamma and a result that is not negative",
                fix='fold the BatchNorm into the convolution before it ([[derive]] op = "fold_batchnorm_kernel")',
            )
        return np.asarray(found)

    inputs = [variance] if gamma is None else [variance, gamma]
    return Derived(
        f"variance with gamma of {variance.name}", variance.shape, working_dtype(variance.dtype), inputs, compute
    )


def _not_negative(variance: np.ndarray, source: Source) -> None:
    if (variance < 0).any():
        raise PlanError(
            "a running variance is negative",
            where=source.name,
            found=f"{float(variance.min()):g}",
            fix="the checkpoint is damaged, or the rule takes another tensor for the variance",
        )


def constant_source(name: str, values: Sequence[float] | np.ndarray, dtype: np.dtype) -> Tensor:
    """An array as a source.

    >>> constant_source("ones", [1.0, 1.0], np.dtype("f4")).array().tolist()
    [1.0, 1.0]
    >>> constant_source("count", np.array(0), np.dtype("i4")).shape
    ()
    """
    array = np.array(values, dtype, order="C")  # ascontiguousarray would give a number an axis
    return Tensor(
        name, array.shape, array.dtype, tuple(s // dtype.itemsize for s in array.strides), ArrayStorage(array)
    )
