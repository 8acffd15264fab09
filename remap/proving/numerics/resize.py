"""Interpolation as PyTorch computes it, and what Keras's is apart from it in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Literal

import numpy as np

from remap.proving.difference import largest_of
from remap.proving.limits import SAME_PIXELS
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial
from remap.sides.operation import Operation

A = -0.75
"""PyTorch's coefficient of cubic interpolation; TensorFlow and JAX have -0.5, and leave out what is over the edge."""
Between = Literal["nearest", "bilinear", "bicubic"]


class ResizeFault(Enum):
    """How one interpolation is apart from another."""

    KIND = auto()
    CORNERS = auto()
    COEFFICIENT = auto()
    BOTH = auto()


@dataclass(frozen=True, slots=True)
class Interpolation:
    """How pixels are made.

    Args:
        between: From which of the old ones.
        aligned: Whether corners lie on corners, instead of edges on edges.
        told: In words.
    """

    between: Between
    aligned: bool
    told: str

    @property
    def hint(self) -> str:
        """What to do where PyTorch has it and Keras has not."""
        if self.aligned:
            return "Keras has no aligned corners: a layer of your own, or a PyTorch model with align_corners=False"
        if self.between == "bicubic":
            return "Keras on TensorFlow or JAX has a = -0.5: a layer of your own, or Keras on torch"
        return "give the Keras layer that interpolation"


BICUBIC = Interpolation("bicubic", False, "bicubic interpolation with a = -0.75 and repeated edges")
INTERPOLATIONS = (
    Interpolation("bilinear", False, "bilinear interpolation"),
    Interpolation("bilinear", True, "bilinear interpolation with align_corners=True"),
    Interpolation("nearest", False, "nearest neighbours"),
    BICUBIC,
    Interpolation("bicubic", True, "bicubic interpolation with a = -0.75, repeated edges and align_corners=True"),
)


def trials_of(site: Site, fault: ResizeFault) -> Iterator[Trial]:
    """What PyTorch may do, in the place of what Keras does, as far as it is apart from it in one way."""
    for event in site.events:
        if event.operation is not Operation.INTERPOLATION:
            continue
        for position, step in enumerate(site.steps):
            x = step.inputs[0] if step.inputs else None
            if x is None or x.ndim != 4 or event.output.ndim != 4 or not step.weightless:
                continue
            for wanted in INTERPOLATIONS:
                if _fault(wanted, step) is fault:
                    compute = partial(resized, x, event.output.shape[2:], wanted)
                    yield Trial(wanted.told, compute, position, hint=wanted.hint)


def _fault(wanted: Interpolation, step: Step) -> ResizeFault:
    if wanted.between == "nearest" or step.settings.get("mode") != wanted.between:
        return ResizeFault.KIND
    coefficient = wanted.between == "bicubic" and not _has_coefficient(step)
    if wanted.aligned:
        return ResizeFault.BOTH if coefficient else ResizeFault.CORNERS
    return ResizeFault.COEFFICIENT if coefficient else ResizeFault.KIND


def _has_coefficient(step: Step) -> bool:
    """Whether Keras's own bicubic interpolation is PyTorch's, as it is where Keras runs on torch."""
    made = resized(step.inputs[0], step.output.shape[1:3], BICUBIC)
    return made.shape == step.output.shape and np.allclose(
        made, step.output, atol=SAME_PIXELS * largest_of(step.output)
    )


def resized(x: np.ndarray, sizes: tuple[int, ...], how: Interpolation) -> np.ndarray:
    """Images of shape (batch, height, width, channels) in another size, as PyTorch computes it.

    Args:
        x: The images.
        sizes: Height and width.
        how: How pixels are made.

    >>> resized(np.array([[[[0.0], [3.0]]]]), (1, 4), INTERPOLATIONS[1])[0, 0, :, 0].round(9).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    for axis, size in zip((1, 2), sizes, strict=True):
        x = _along(x, axis, size, how)
    return x


def _along(x: np.ndarray, axis: int, size: int, how: Interpolation) -> np.ndarray:
    n = x.shape[axis]
    if how.between == "nearest":
        return np.asarray(np.take(x, np.arange(size) * n // size, axis))
    if how.aligned:
        at = np.arange(size) * ((n - 1) / (size - 1) if size > 1 else 0.0)
    else:
        at = (np.arange(size) + 0.5) * n / size - 0.5
    cubic = how.between == "bicubic"
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
