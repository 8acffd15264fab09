"""Transposed convolutions run again with PyTorch's settings: without padding, their output cropped by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import combinations

import numpy as np

from remap.proving.numerics.ranks import along, axes_of
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial
from remap.sides.keras.realise import first_spatial, spatial_sizes
from remap.sides.keras.rerun import arrays_of, rerun
from remap.sides.operation import Operation, Pads, added_pads
from remap.sides.torch.operations import given_padding

CROPPED = "padding='valid' and a Cropping layer after it give PyTorch's padding; output_padding adds at the end"


class CropSetting(StrEnum):
    """What a transposed convolution is set to; what it takes off the full output is padding, or output_padding."""

    STRIDES = "stride"
    DILATION = "dilation"
    PADDING = "padding"
    OUTPUT_PADDING = "output_padding"


@dataclass(frozen=True, slots=True)
class Crops:
    """Stride and dilation by axis, and what is taken off each end of the full output."""

    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    crops: Pads


@dataclass(frozen=True, slots=True)
class Transposed:
    """A Keras transposed convolution at a site, and PyTorch's.

    Args:
        position: Position of the step.
        step: The Keras call.
        event: PyTorch's.
        have: Keras's settings, the cropping right after it included.
        want: PyTorch's, for Keras's axes.
    """

    position: int
    step: Step
    event: Step
    have: Crops
    want: Crops

    @property
    def differing(self) -> list[CropSetting]:
        """The settings in which the two disagree."""
        have, want = self.have, self.want
        starts = [tuple(before for before, _ in entry.crops) for entry in (have, want)]
        settings = [CropSetting.STRIDES] if want.strides != have.strides else []
        settings += [CropSetting.DILATION] if want.dilation != have.dilation else []
        crops = CropSetting.OUTPUT_PADDING if starts[0] == starts[1] else CropSetting.PADDING
        return [*settings, crops] if want.crops != have.crops else settings


def alone(site: Site, setting: CropSetting) -> Iterator[Trial]:
    """PyTorch's value of one setting where it differs, all else as Keras has it."""
    for transposed in site.once(transposed_layers):
        if setting in transposed.differing:
            yield _changed(transposed, (setting,))


def together(site: Site) -> Iterator[tuple[tuple[CropSetting, ...], Trial]]:
    """PyTorch's values of two settings, then of all."""
    for transposed in site.once(transposed_layers):
        for count in range(2, len(transposed.differing) + 1):
            for keys in combinations(transposed.differing, count):
                yield keys, _changed(transposed, keys)


def transposed_layers(site: Site) -> list[Transposed]:
    """The transposed convolutions of a site."""
    kind = Operation.TRANSPOSED_CONVOLUTION
    event = next((event for event in site.events if event.operation is kind and event.inputs), None)
    layers = []
    for position, step in enumerate(site.steps):
        want = _torch(event, step) if event is not None and step.operation is kind else None
        if event is not None and want is not None:
            layers.append(Transposed(position, step, event, _keras(step, site.steps[position + 1 :]), want))
    return layers


def _changed(transposed: Transposed, keys: tuple[CropSetting, ...]) -> Trial:
    have, want = transposed.have, transposed.want
    crops = CropSetting.PADDING in keys or CropSetting.OUTPUT_PADDING in keys
    used = Crops(
        want.strides if CropSetting.STRIDES in keys else have.strides,
        want.dilation if CropSetting.DILATION in keys else have.dilation,
        want.crops if crops else have.crops,
    )
    told = " and ".join(_word(key, transposed) for key in keys)
    hint = CROPPED if crops else None
    return Trial(told, partial(_compute, transposed.step, used), transposed.position, hint=hint)


def _keras(step: Step, after: list[Step]) -> Crops:
    """What the layer does, the cropping right after it included."""
    crops = step.settings["crop"]
    for layer in after:
        if layer.operation is not Operation.CROPPING:
            break
        crops = added_pads(crops, layer.settings["crop"])
    return Crops(step.settings["stride"], step.settings["dilation"], crops)


def _torch(event: Step, step: Step) -> Crops | None:
    told, sizes = event.settings, spatial_sizes(step.layer, step.inputs[0].shape, step.settings["rank"])
    axes = axes_of(event.inputs[0].shape[-told["rank"] :], sizes)
    if axes is None:
        return None
    return Crops(along(axes, told["stride"], 1), along(axes, told["dilation"], 1), along(axes, told["crop"], (0, 0)))


def _word(key: CropSetting, transposed: Transposed) -> str:
    if key is CropSetting.STRIDES:
        return f"stride {transposed.want.strides}"
    if key is CropSetting.DILATION:
        return f"dilation {transposed.want.dilation}"
    padding, more = given_padding(transposed.event.settings["crop"])
    return f"padding {padding}{f' and output_padding {more}' if any(more) else ''}"


def _compute(step: Step, used: Crops) -> np.ndarray:
    """The layer without padding, its output cropped by hand; beyond its end there is the bias alone."""
    x, first = step.inputs[0], first_spatial(step.layer)
    bias = arrays_of(step.layer).get("bias", np.zeros(1, x.dtype))
    bias = bias.reshape(-1, *(1,) * (x.ndim - 2)) if first > 1 else bias
    y = rerun(step.layer, [x], {"crop": (), "stride": used.strides, "dilation": used.dilation}) - bias
    reach = [(k - 1) * d + 1 for k, d in zip(step.settings["kernel_size"], used.dilation, strict=True)]
    for axis, (before, after) in enumerate(used.crops, first):
        place = axis - first
        size = (x.shape[axis] - 1) * used.strides[place] + reach[place] - before - after
        y = np.take(y, range(before, y.shape[axis]), axis)
        widths = [(0, max(size - y.shape[axis], 0)) if a == axis else (0, 0) for a in range(y.ndim)]
        y = np.take(np.pad(y, widths), range(size), axis)
    return np.asarray(y + bias)
