"""Transposed convolutions: padding, output_padding, stride and dilation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from remap.proving.settings import keras_crops, keras_window, pairs_of, torch_crops, torch_window
from remap.proving.site import Site, Step
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of, rerun
from remap.sides.operation import per_axis

_HINT = "padding='valid' and a Cropping layer after it give PyTorch's padding; output_padding adds at the end"


def trials(site: Site) -> Iterator[Trial]:
    """Each setting that differs changed alone, then two together, then all."""
    for position, step in enumerate(site.steps):
        event = next((event for event in site.events if event.kind.startswith("conv_transpose")), None)
        if event is None or not step.call.kind.endswith("Transpose"):
            continue
        rank = step.inputs[0].ndim - 2
        have, want = _keras(step, site.steps[position + 1 :], rank), _torch(event, step, rank)
        differing = [key for key in want if want[key] != have[key]]
        for count in range(1, len(differing) + 1):
            for keys in combinations(differing, count):
                yield Trial(
                    " and ".join(_name(key, have, want) for key in keys),
                    " and ".join(_word(key, want, event, rank) for key in keys),
                    partial(_compute, step, {**have, **{key: want[key] for key in keys}}),
                    position,
                    hint=_HINT if "crops" in keys else "",
                )


def _keras(step: Step, after: list[Step], rank: int) -> dict[str, Any]:
    """What the layer does, the cropping right after it included."""
    window = keras_window(step.settings, rank)
    crops = keras_crops(step.settings, rank)
    for layer in after:
        if not layer.call.kind.startswith("Cropping"):
            break
        more = pairs_of(layer.settings.get("cropping"))
        crops = tuple((a + c, b + d) for (a, b), (c, d) in zip(crops, more, strict=True))
    return {"strides": window["strides"], "dilation": window["dilation"], "crops": crops}


def _torch(event: Step, step: Step, rank: int) -> dict[str, Any]:
    window = torch_window(event.settings, rank)
    return {"strides": window["strides"], "dilation": window["dilation"], "crops": torch_crops(event.settings, rank)}


def _name(key: str, have: Mapping[str, Any], want: Mapping[str, Any]) -> str:
    if key != "crops":
        return "stride" if key == "strides" else key
    starts = [tuple(before for before, _ in entry["crops"]) for entry in (have, want)]
    return "output_padding" if starts[0] == starts[1] else "padding"


def _word(key: str, want: Mapping[str, Any], event: Step, rank: int) -> str:
    if key != "crops":
        return f"{'stride' if key == 'strides' else key} {want[key]}"
    padding = per_axis(event.settings.get("padding", 0), rank)
    more = per_axis(event.settings.get("output_padding", 0), rank)
    return f"padding {padding}{f' and output_padding {more}' if any(more) else ''}"


def _compute(step: Step, used: Mapping[str, Any]) -> np.ndarray:
    """The layer without padding, its output cropped by hand; beyond its end there is the bias alone."""
    settings: dict[str, Any] = {"padding": "valid", "output_padding": None}
    settings |= {"strides": tuple(used["strides"]), "dilation_rate": tuple(used["dilation"])}
    first = step.settings.get("data_format") == "channels_first"
    x = step.inputs[0]
    rank = x.ndim - 2
    bias = arrays_of(step.layer).get("bias", np.zeros(1, x.dtype)).reshape(-1, *(1,) * (rank if first else 0))
    y = rerun(step.layer, [x], settings) - bias
    reach = [
        (k - 1) * d + 1 for k, d in zip(keras_window(step.settings, rank)["kernel"], used["dilation"], strict=True)
    ]
    for axis, (before, after) in enumerate(used["crops"], 2 if first else 1):
        place = axis - (2 if first else 1)
        size = (x.shape[axis] - 1) * used["strides"][place] + reach[place] - before - after
        y = np.take(y, range(before, y.shape[axis]), axis)
        widths = [(0, max(size - y.shape[axis], 0)) if a == axis else (0, 0) for a in range(y.ndim)]
        y = np.take(np.pad(y, widths), range(size), axis)
    return np.asarray(y + bias)
