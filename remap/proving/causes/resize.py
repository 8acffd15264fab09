"""Interpolation: corners aligned or not, nearest, linear or cubic, and the coefficient of the cubic one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.proving.difference import largest_of
from remap.proving.site import Site, Step
from remap.proving.trial import Trial

WORDS = {
    "bilinear": "bilinear interpolation",
    "aligned": "bilinear interpolation with align_corners=True",
    "nearest": "nearest neighbours",
    "bicubic": "bicubic interpolation with a = -0.75 and repeated edges",
    "bicubic aligned": "bicubic interpolation with a = -0.75, repeated edges and align_corners=True",
}
A = -0.75
"""PyTorch's coefficient of cubic interpolation; TensorFlow and JAX have -0.5, and leave out what is over the edge."""


def trials(site: Site) -> Iterator[Trial]:
    """What PyTorch does, in the place of what Keras does, on the last values that agree."""
    for event in site.events:
        if event.kind not in ("interpolate", "upsample", "grid_sample") and "upsample" not in event.kind:
            continue
        for position, step in enumerate(site.steps):
            x = step.inputs[0] if step.inputs else None
            if x is None or x.ndim != 4 or event.output.ndim != 4 or list(getattr(step.layer, "weights", ())):
                continue
            for mode in WORDS:
                yield Trial(
                    _cause(mode, step),
                    WORDS[mode],
                    partial(resized, x, event.output.shape[2:], mode),
                    position,
                    hint=_hint(mode),
                )


def _cause(mode: str, step: Step) -> str:
    own = str(step.settings.get("interpolation", ""))
    same = mode.removesuffix("aligned").strip() in ("bilinear", "bicubic", "") and own in ("bilinear", "bicubic")
    if not same or mode.startswith("bicubic") != (own == "bicubic"):
        return "interpolation"
    causes = ["align_corners"] if "aligned" in mode else []
    if own == "bicubic" and not _has_coefficient(step):
        causes.append("bicubic coefficient")
    return " and ".join(causes) or "interpolation"


def _has_coefficient(step: Step) -> bool:
    """Whether Keras's own bicubic interpolation is PyTorch's, as it is where Keras runs on torch."""
    made = resized(step.inputs[0], step.output.shape[1:3], "bicubic")
    return made.shape == step.output.shape and np.allclose(made, step.output, atol=1e-4 * largest_of(step.output))


def _hint(mode: str) -> str:
    if "aligned" in mode:
        return "Keras has no aligned corners: a layer of your own, or a PyTorch model with align_corners=False"
    if mode == "bicubic":
        return "Keras on TensorFlow or JAX has a = -0.5: a layer of your own, or Keras on torch"
    return "give the Keras layer that interpolation"


def resized(x: np.ndarray, sizes: tuple[int, ...], mode: str) -> np.ndarray:
    """Images of shape (batch, height, width, channels) in another size.

    Args:
        x: The images.
        sizes: Height and width.
        mode: ``bilinear`` and ``bicubic`` (centres of pixels), ``aligned`` and ``bicubic aligned`` (corners),
            or ``nearest``; all as PyTorch computes them.

    >>> resized(np.array([[[[0.0], [3.0]]]]), (1, 4), "aligned")[0, 0, :, 0].round(9).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    for axis, size in zip((1, 2), sizes, strict=True):
        x = _along(x, axis, size, mode)
    return x


def _along(x: np.ndarray, axis: int, size: int, mode: str) -> np.ndarray:
    n = x.shape[axis]
    if mode == "nearest":
        return np.asarray(np.take(x, np.arange(size) * n // size, axis))
    if "aligned" in mode:
        at = np.arange(size) * ((n - 1) / (size - 1) if size > 1 else 0.0)
    else:
        at = (np.arange(size) + 0.5) * n / size - 0.5
    cubic = mode.startswith("bicubic")
    at = at if cubic else np.clip(at, 0, None)
    low = np.floor(at).astype(int)
    shape = [-1 if a == axis else 1 for a in range(x.ndim)]
    places = range(-1, 3) if cubic else range(2)
    shares = (_cubic(np.abs(at - low - k)) if cubic else 1 - np.abs(at - low - k) for k in places)
    taken = (np.take(x, np.clip(low + k, 0, n - 1), axis) for k in places)
    return np.asarray(sum(part * share.reshape(shape) for part, share in zip(taken, shares, strict=True)))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Weight of a pixel at a distance below 2: Keys's kernel, "Cubic convolution interpolation", 1981."""
    near = (A + 2) * x**3 - (A + 3) * x**2 + 1
    return np.where(x <= 1, near, A * x**3 - 5 * A * x**2 + 8 * A * x - 4 * A)
