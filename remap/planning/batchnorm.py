"""The sources that make up for BatchNorm epsilons that differ, and sources of constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remap.layout.ops import Options
from remap.layout.tiles import Source
from remap.planning.derived import Derived
from remap.planning.operate import derived_by
from remap.tensors.tensor import ArrayStorage, Tensor


def folded_gamma(gamma: Source | None, variance: Source, source: float, target: float) -> Derived:
    """Gamma that makes up for the difference of the epsilons; ``gamma`` None stands for ones.

    Raises:
        PlanError: When computed, as :func:`remap.layout.folds.fold_gamma` does.
    """
    return _fold("fold_gamma", f"gamma folded with {variance.name}", gamma, variance, source, target)


def absorbed_variance(variance: Source, gamma: Source | None, source: float, target: float) -> Derived:
    """Variance that takes up both gamma and the difference of the epsilons, for layers without a gamma.

    Raises:
        PlanError: When computed, as :func:`remap.layout.folds.absorb_gamma` does.
    """
    return _fold("absorb_gamma", f"variance with gamma of {variance.name}", gamma, variance, source, target)


def _fold(fold: str, name: str, gamma: Source | None, variance: Source, source: float, target: float) -> Derived:
    inputs = {"variance": variance} if gamma is None else {"variance": variance, "gamma": gamma}
    options: Options = {"source": source, "target": target, "tensor": variance.name}
    return derived_by(fold, inputs, options, name, variance.shape)


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
