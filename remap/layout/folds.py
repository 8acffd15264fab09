"""Operations that make up for BatchNorm epsilons that differ; rule files name them by ``[batchnorm]``, not by ``op``.

torch normalises by ``sqrt(variance + source)``, Keras by ``sqrt(variance + target)``. Equal outputs need
``gamma' = gamma * sqrt((variance + target) / (variance + source))``, which is exact for any variance. Without a gamma
in Keras, ``variance' = (variance + source) / gamma^2 - target`` is, where it stays positive.

Settings: ``source`` and ``target``, the two epsilons, and ``tensor``, the name of the variance for messages.
"""

from __future__ import annotations

import numpy as np

from remap.errors import PlanError
from remap.layout.ops import Arrays, Options, TensorOperation, like

_SETTINGS: Options = {"source": 1e-5, "target": 1e-3, "tensor": ""}


def fold_gamma(inputs: Arrays, options: Options) -> np.ndarray:
    """Gamma that makes up for the difference of the epsilons; without a gamma, of ones.

    Raises:
        PlanError: A variance is negative.

    >>> options = {"source": 0.0, "target": 3.0, "tensor": "running_var"}
    >>> fold_gamma({"variance": np.array([1.0]), "gamma": np.array([5.0])}, options).tolist()
    [10.0]
    """
    variance, source, target = _settings(inputs, options)
    factor = np.sqrt((variance + target) / (variance + source))
    return np.asarray(inputs["gamma"] * factor if "gamma" in inputs else factor)


def absorb_gamma(inputs: Arrays, options: Options) -> np.ndarray:
    """Variance that takes up both gamma and the difference of the epsilons, for layers without a gamma.

    Raises:
        PlanError: A variance is negative, gamma is not positive, or the result is negative.

    >>> options = {"source": 1.0, "target": 0.5, "tensor": "running_var"}
    >>> absorb_gamma({"variance": np.array([3.0]), "gamma": np.array([2.0])}, options).tolist()
    [0.5]
    """
    variance, source, target = _settings(inputs, options)
    scale = inputs["gamma"] if "gamma" in inputs else np.ones_like(variance)
    absorbed = (variance + source) / np.where(scale > 0, scale, 1.0) ** 2 - target
    wrong = np.flatnonzero((scale <= 0) | (absorbed < 0))
    if len(wrong):
        channel = int(wrong[0])
        raise PlanError(
            "the variance cannot take up gamma and epsilon",
            where=f"{options['tensor']}, {len(wrong)} channels, first {channel}",
            found=f"gamma {scale[channel]:g}, variance {variance[channel]:g}, result {absorbed[channel]:g}",
            expected="positive gamma and a result that is not negative",
            fix='fold the BatchNorm into the convolution before it ([[derive]] op = "fold_batchnorm_kernel")',
        )
    return np.asarray(absorbed)


def _settings(inputs: Arrays, options: Options) -> tuple[np.ndarray, float, float]:
    variance = inputs["variance"]
    if (variance < 0).any():
        raise PlanError(
            "a running variance is negative",
            where=str(options["tensor"]),
            found=f"{float(variance.min()):g}",
            fix="the checkpoint is damaged, or the rule takes another tensor for the variance",
        )
    return variance, float(options["source"]), float(options["target"])


FOLDS: dict[str, TensorOperation] = {
    "fold_gamma": TensorOperation(
        ("variance", "gamma"), fold_gamma, like("variance"), frozenset({"gamma"}), options=_SETTINGS
    ),
    "absorb_gamma": TensorOperation(
        ("variance", "gamma"), absorb_gamma, like("variance"), frozenset({"gamma"}), options=_SETTINGS
    ),
}
"""Every one of them."""
