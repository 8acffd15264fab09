"""Interpolation: corners aligned or not, nearest or linear."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from remap.verifying.explain import Trial
from remap.verifying.site import Site, Step

WORDS = {
    "bilinear": "bilinear interpolation",
    "aligned": "bilinear interpolation with align_corners=True",
    "nearest": "nearest neighbours",
}


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
    return "align_corners" if mode == "aligned" and own == "bilinear" else "interpolation"


def _hint(mode: str) -> str:
    return (
        "Keras has no aligned corners: a layer of your own, or a PyTorch model with align_corners=False"
        if (mode == "aligned")
        else "give the Keras layer that interpolation"
    )


def resized(x: np.ndarray, sizes: tuple[int, ...], mode: str) -> np.ndarray:
    """Images of shape (batch, height, width, channels) in another size.

    Args:
        x: The images.
        sizes: Height and width.
        mode: ``bilinear`` (centres of pixels), ``aligned`` (corners), or ``nearest``.

    >>> resized(np.array([[[[0.0], [3.0]]]]), (1, 4), "aligned")[0, 0, :, 0].tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    for axis, size in zip((1, 2), sizes, strict=True):
        x = _along(x, axis, size, mode)
    return x


def _along(x: np.ndarray, axis: int, size: int, mode: str) -> np.ndarray:
    n = x.shape[axis]
    if mode == "nearest":
        return np.asarray(np.take(x, np.arange(size) * n // size, axis))
    if mode == "aligned":
        at = np.arange(size) * ((n - 1) / (size - 1) if size > 1 else 0.0)
    else:
        at = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, None)
    low = np.minimum(at.astype(int), n - 1)
    high = np.minimum(low + 1, n - 1)
    share = (at - low).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return np.asarray(np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share)
