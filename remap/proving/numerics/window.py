"""Convolutions and poolings run again with PyTorch's settings: some of them, on an input that is padded by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from remap.proving.limits import MOST_SETTINGS
from remap.proving.numerics.ranks import along, axes_of
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial
from remap.sides.keras.realise import first_spatial, spatial_sizes
from remap.sides.keras.rerun import rerun
from remap.sides.operation import POOLING, SAME, WINDOWED, Operation, Pads, added_pads, same_pads, settled_pads

_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
ASYMMETRIC = "put a ZeroPadding layer before it and padding='valid'; at an odd input size both coincide (--odd-size)"
PADDING = "give the Keras layer PyTorch's padding: padding='valid', after a ZeroPadding layer where it is not 0"
STRIDE = "the weights do not depend on it: move the stride in the Keras model"


class WindowSetting(StrEnum):
    """What a window is set to."""

    KERNEL = "kernel_size"
    STRIDES = "stride"
    DILATION = "dilation"
    PADS = "pads"
    MODE = "mode"
    VALUE = "value"
    COUNTS = "counts"
    CEIL = "ceil"


WindowSettings = Mapping[WindowSetting, Any]
SLIDING = (WindowSetting.KERNEL, WindowSetting.STRIDES, WindowSetting.DILATION)
"""Those that are called as in the vocabulary of both sides."""


@dataclass(frozen=True, slots=True)
class Window:
    """A Keras convolution or pooling at a site, and PyTorch's.

    Args:
        position: Position of the step.
        step: The Keras call.
        event: PyTorch's.
        x: What went into the first of the paddings before it.
        have: Keras's settings, its paddings included.
        want: PyTorch's, for Keras's axes.
    """

    position: int
    step: Step
    event: Step
    x: np.ndarray
    have: dict[WindowSetting, Any]
    want: dict[WindowSetting, Any]

    @property
    def differing(self) -> list[WindowSetting]:
        """The settings in which the two disagree."""
        return [key for key in self.want if self.want[key] != self.have[key]]


def alone(site: Site, setting: WindowSetting) -> Iterator[Trial]:
    """PyTorch's value of one setting where it differs, all else as Keras has it."""
    for window in site.once(windows):
        if setting in window.differing:
            yield from _changed(window, (setting,))


def together(site: Site) -> Iterator[tuple[tuple[WindowSetting, ...], Trial]]:
    """PyTorch's values of two settings, then of three and so on."""
    for window in site.once(windows):
        for count in range(2, min(len(window.differing), MOST_SETTINGS) + 1):
            for keys in combinations(window.differing, count):
                for trial in _changed(window, keys):
                    yield keys, trial


def windows(site: Site) -> list[Window]:
    """The convolutions and poolings of a site."""
    entries = (
        _window(site, position, step)
        for position, step in enumerate(site.steps)
        if step.operation in WINDOWED and step.inputs
    )
    return [entry for entry in entries if entry is not None]


def _window(site: Site, position: int, step: Step) -> Window | None:
    event = next((event for event in site.events if _fits(step, event)), None)
    if event is None:
        return None
    first = position
    while first and site.steps[first - 1].pads:
        first -= 1
    padded = next((pad for pad in site.events if pad.pads and pad.output is event.inputs[0]), None)
    paddings = site.steps[first:position] if first or padded is None else site.paddings_before(step)
    x = (paddings[0] if paddings else step).inputs[0]
    sizes = spatial_sizes(step.layer, x.shape, step.settings["rank"])
    want = _torch(event, padded, sizes)
    return Window(position, step, event, x, _keras(step, paddings, sizes), want) if want is not None else None


def _changed(window: Window, keys: tuple[WindowSetting, ...]) -> Iterator[Trial]:
    step, x = window.step, window.x
    used = {**window.have, **{key: window.want[key] for key in keys}}
    tried = [(keys, used)]
    if WindowSetting.PADS not in keys and step.settings["padding"] == SAME:
        sizes = spatial_sizes(step.layer, x.shape, step.settings["rank"])
        pads = same_pads(sizes, used[WindowSetting.KERNEL], used[WindowSetting.STRIDES], used[WindowSetting.DILATION])
        tried = [(keys, {**used, WindowSetting.PADS: pads})]
        if pads != window.have[WindowSetting.PADS]:  # what 'same' pads follows the setting; PyTorch's padding does not
            tried.append(((*keys, WindowSetting.PADS), used))
    for words, settings in tried:
        told = " and ".join(_word(key, window.want[key]) for key in words)
        yield Trial(told, partial(_compute, step, x, settings), window.position, hint=_hint(words, step))


def _fits(step: Step, event: Step) -> bool:
    wanted = step.operation if step.operation in POOLING else Operation.CONVOLUTION
    return event.operation is wanted and bool(event.inputs)


def _keras(step: Step, paddings: Sequence[Step], sizes: Sequence[int]) -> dict[WindowSetting, Any]:
    pads: Pads = ((0, 0),) * len(sizes)
    for padding in paddings:
        pads = added_pads(pads, padding.settings["padding"])
    inner = [n + a + b for n, (a, b) in zip(sizes, pads, strict=True)]
    pooling = step.operation in POOLING
    return {
        **{setting: step.settings[setting] for setting in SLIDING},
        WindowSetting.PADS: added_pads(pads, settled_pads(step.settings, inner) or ()),
        WindowSetting.MODE: "constant",
        WindowSetting.VALUE: "zeros" if paddings or not pooling else "nothing",
        WindowSetting.COUNTS: bool(paddings),
        WindowSetting.CEIL: False,
    }


def _torch(event: Step, padded: Step | None, sizes: Sequence[int]) -> dict[WindowSetting, Any] | None:
    """PyTorch's settings for each axis of Keras's; None where the module, or what becomes of its axes, is not told."""
    rank = event.settings["rank"]
    axes = axes_of(event.inputs[0].shape[-rank:], sizes)
    pads = event.settings.get("padding")
    if pads in (None, SAME) or axes is None:
        return None
    filler = "nothing" if event.operation in POOLING else "zeros"
    if padded is not None and len(padded.settings["padding"]) == rank:
        pads = added_pads(pads, padded.settings["padding"])
        filler = "nothing" if padded.settings.get("value") == float("-inf") else "zeros"
    return {
        **{setting: along(axes, event.settings[setting], 1) for setting in SLIDING if setting in event.settings},
        WindowSetting.PADS: along(axes, pads, (0, 0)),
        WindowSetting.MODE: _PAD_MODES.get(str(event.settings.get("padding_mode")), "constant"),
        WindowSetting.VALUE: filler,
        WindowSetting.COUNTS: bool(event.settings.get("count_include_pad", False)),
        WindowSetting.CEIL: bool(event.settings.get("ceil_mode", False)),
    }


def _compute(step: Step, x: np.ndarray, used: WindowSettings) -> np.ndarray:
    """The step on an input padded by hand."""
    first = first_spatial(step.layer)
    pads: list[tuple[int, int]] = [(0, 0)] * x.ndim
    pads[first : first + len(used[WindowSetting.PADS])] = used[WindowSetting.PADS]
    settings = {"padding": (), "stride": used[WindowSetting.STRIDES]}
    if step.operation not in POOLING:
        padded = np.pad(x, pads, mode=used[WindowSetting.MODE])
        return rerun(step.layer, [padded], {**settings, "dilation": used[WindowSetting.DILATION]})
    over = _over_the_edge(x, pads, first, used)
    settings["kernel_size"] = used[WindowSetting.KERNEL]
    if step.operation is Operation.MAX_POOLING:
        filler = -np.inf if used[WindowSetting.VALUE] == "nothing" else 0.0
        padded = np.pad(np.pad(x, pads, constant_values=filler), over, constant_values=-np.inf)
        return rerun(step.layer, [padded.astype(x.dtype)], settings)
    counted = np.ones_like(x)
    counted = np.pad(np.pad(counted, pads, constant_values=float(used[WindowSetting.COUNTS])), over)
    total = rerun(step.layer, [np.pad(np.pad(x, pads), over)], settings)
    return np.asarray(total / rerun(step.layer, [counted], settings))


def _over_the_edge(
    x: np.ndarray, pads: Sequence[tuple[int, int]], first: int, used: WindowSettings
) -> list[tuple[int, int]]:
    """How far PyTorch's last windows reach over the padded input, along each axis."""
    over = [(0, 0)] * x.ndim
    if used[WindowSetting.CEIL]:
        for axis, (kernel, stride) in enumerate(
            zip(used[WindowSetting.KERNEL], used[WindowSetting.STRIDES], strict=True)
        ):
            before, after = pads[first + axis]
            size = x.shape[first + axis] + before + after
            last = -(-(size - kernel) // stride) * stride
            if last < x.shape[first + axis] + before:
                over[first + axis] = (0, last + kernel - size)
    return over


def _word(key: WindowSetting, value: Any) -> str:
    match key:
        case WindowSetting.PADS:
            sides = tuple(a for a, _ in value)
            if not any(a or b for a, b in value):
                return "no padding"
            return f"padding {sides} symmetric" if all(a == b for a, b in value) else f"padding {value}"
        case WindowSetting.VALUE:
            return "padding by less than any number" if value == "nothing" else "zeros as padding"
        case WindowSetting.COUNTS:
            return "the padding counted in the mean" if value else "the padding not counted in the mean"
        case WindowSetting.CEIL:
            return "a last window over the edge (ceil_mode)" if value else "no window over the edge"
        case WindowSetting.MODE:
            return f"padding mode {value}"
        case WindowSetting.KERNEL:
            return f"kernel size {value}"
        case WindowSetting.STRIDES:
            return f"stride {value}"
        case WindowSetting.DILATION:
            return f"dilation {value}"


def _hint(keys: Sequence[WindowSetting], step: Step) -> str | None:
    strided = any(stride > 1 for stride in step.settings["stride"])
    if keys == (WindowSetting.PADS,) and strided and step.settings["padding"] == SAME:
        return ASYMMETRIC
    if WindowSetting.PADS in keys:
        return PADDING
    return STRIDE if WindowSetting.STRIDES in keys else None
