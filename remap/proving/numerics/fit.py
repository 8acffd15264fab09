"""What PyTorch does to an input before its first layer, where that is a factor and a shift by channel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from remap.proving.forms import closest
from remap.proving.limits import NO_SHIFT
from remap.proving.site import Site
from remap.proving.trial import Trial


@dataclass(frozen=True, slots=True)
class ChannelFit:
    """A factor and a shift for each channel that make one array of another.

    Args:
        scale: The factors.
        shift: The shifts.
        fitted: What they make of Keras's input.
        unique: Whether there are enough values of a channel for no other two numbers to do as well.
    """

    scale: np.ndarray
    shift: np.ndarray
    fitted: np.ndarray
    unique: bool

    @property
    def uniform(self) -> bool:
        """Whether it is one factor for all channels, and no shift."""
        return bool(np.allclose(self.scale, self.scale.flat[0]) and np.allclose(self.shift, 0, atol=NO_SHIFT))

    def trial(self, site: Site, text: str) -> Trial:
        """The steps of a site on what the fit makes of their input."""
        x = self.fitted.astype(site.steps[0].inputs[0].dtype)
        return Trial(text, partial(site.through, 0, x), site.blamed)


def input_fit(site: Site) -> ChannelFit | None:
    """How PyTorch's input of the row's layer comes from Keras's; None where it is no factor and shift, or the same."""
    step, end = site.steps[0] if site.steps else None, site.events[-1] if site.events else None
    if step is None or end is None or not step.inputs or not end.inputs or end is site.events[0]:
        return None
    near = closest(end.inputs[0], step.inputs[0])
    if near is None or near[0].ndim < 2:
        return None
    wanted, x = near[0].astype(np.float64), step.inputs[0].astype(np.float64)
    rows = tuple(range(x.ndim - 1))
    spread = x.var(rows)
    if np.any(spread == 0):
        return None
    scale = ((x - x.mean(rows)) * (wanted - wanted.mean(rows))).mean(rows) / spread
    shift = wanted.mean(rows) - scale * x.mean(rows)
    fitted = scale * x + shift
    if np.max(np.abs(fitted - wanted)) > site.allowed(wanted, None):
        return None
    if np.allclose(scale, 1) and np.allclose(shift, 0):
        return None
    return ChannelFit(scale, shift, fitted, unique=x.size > 2 * x.shape[-1])
