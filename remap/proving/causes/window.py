"""Convolutions and poolings: padding, stride, dilation, groups, what is padded with, and what a mean counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from remap.proving.settings import keras_pads, keras_window, torch_pads, torch_window, zero_padding
from remap.proving.site import Site, Step
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of, rerun
from remap.sides.operation import same_pads

MOST = 4
_LAYERS = {"Conv1D": 1, "Conv2D": 2, "Conv3D": 3, "Pooling1D": 1, "Pooling2D": 2, "Pooling3D": 3}
_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def trials(site: Site) -> Iterator[Trial]:
    """Each setting that differs changed alone, then two together, and so on."""
    for position, step in enumerate(site.steps):
        rank = _rank(step)
        event = next((event for event in site.events if _fits(step, event)), None) if rank else None
        if event is None:
            continue
        first = position
        while first and site.steps[first - 1].call.kind.startswith("ZeroPadding"):
            first -= 1
        padded = next((pad for pad in site.events if pad.kind == "pad" and pad.output is event.inputs[0]), None)
        paddings = site.steps[first:position] if first or padded is None else site.paddings_before(step)
        x = (paddings[0] if paddings else step).inputs[0]
        have = _keras(step, paddings, x, rank)
        want = _torch(event, padded, rank)
        if want is None:
            continue
        differing = [key for key in want if want[key] != have[key]]
        for count in range(1, min(len(differing), MOST) + 1):
            for keys in combinations(differing, count):
                cause = " and ".join(NAMES[key] for key in keys)
                used = {**have, **{key: want[key] for key in keys}}
                told = [(keys, used)]
                if "pads" not in keys and step.settings.get("padding") == "same":
                    pads = same_pads(_spatial(step, x, rank), used["kernel"], used["strides"], used["dilation"])
                    told = [(keys, {**used, "pads": pads})]
                    if pads != have["pads"]:  # what 'same' pads follows the setting; PyTorch's padding does not
                        told.append(((*keys, "pads"), used))
                for words, settings in told:
                    hint = _hint(words, step)
                    yield Trial(cause, _words(words, want), partial(_compute, step, x, settings), position, hint=hint)
        yield from _groups(site, position, step, event)


NAMES = {
    "pads": "padding",
    "strides": "stride",
    "dilation": "dilation",
    "kernel": "kernel size",
    "mode": "padding mode",
    "value": "padding value",
    "counts": "count_include_pad",
    "ceil": "ceil_mode",
}


def _rank(step: Step) -> int:
    kind = step.call.kind
    if "Transpose" in kind or kind.startswith("Global"):
        return 0
    return next((rank for name, rank in _LAYERS.items() if kind.endswith(name)), 0) if step.inputs else 0


def _fits(step: Step, event: Step) -> bool:
    kind = step.call.kind
    wanted = "max_pool" if "MaxPooling" in kind else "avg_pool" if "AveragePooling" in kind else "conv"
    return event.kind.startswith(wanted) and not event.kind.startswith("conv_transpose")


def _spatial(step: Step, x: np.ndarray, rank: int) -> tuple[int, ...]:
    first = 2 if step.settings.get("data_format") == "channels_first" else 1
    return x.shape[first : first + rank]


def _keras(step: Step, paddings: Sequence[Step], x: np.ndarray, rank: int) -> dict[str, Any]:
    window = keras_window(step.settings, rank)
    sizes = list(_spatial(step, x, rank))
    pads = [(0, 0)] * rank
    for layer in (*[zero_padding(padding.settings) for padding in paddings], None):
        more = keras_pads(step.settings, sizes) if layer is None else layer
        pads = [(a + c, b + d) for (a, b), (c, d) in zip(pads, more, strict=True)]
        sizes = [n + a + b for n, (a, b) in zip(sizes, more, strict=True)]
    pooling = "Pooling" in step.call.kind
    return {
        **window,
        "pads": tuple(pads),
        "mode": "constant",
        "value": "zeros" if paddings or not pooling else "nothing",
        "counts": bool(paddings),
        "ceil": False,
    }


def _torch(event: Step, padded: Step | None, rank: int) -> dict[str, Any] | None:
    pads = torch_pads(event.settings, rank)
    if pads is None:
        return None
    window = torch_window(event.settings, rank)
    if "conv" in event.kind and "kernel_size" not in event.settings:
        window.pop("kernel")
    filler = "nothing" if "pool" in event.kind else "zeros"
    if padded is not None and len(padded.settings.get("pad", ())) == 2 * rank:
        given = padded.settings["pad"]  # the last axis first
        before = [(given[2 * axis], given[2 * axis + 1]) for axis in reversed(range(rank))]
        pads = tuple((a + c, b + d) for (a, b), (c, d) in zip(pads, before, strict=True))
        filler = "nothing" if padded.settings.get("value") == float("-inf") else "zeros"
    return {
        **window,
        "pads": pads,
        "mode": _PAD_MODES.get(str(event.settings.get("padding_mode")), "constant"),
        "value": filler,
        "counts": bool(event.settings.get("count_include_pad", False)),
        "ceil": bool(event.settings.get("ceil_mode", False)),
    }


def _compute(step: Step, x: np.ndarray, used: Mapping[str, Any]) -> np.ndarray:
    """The step on an input padded by hand."""
    first = 2 if step.settings.get("data_format") == "channels_first" else 1
    pads: list[tuple[int, int]] = [(0, 0)] * x.ndim
    pads[first : first + len(used["pads"])] = used["pads"]
    over = [(0, 0)] * x.ndim
    if used["ceil"]:
        for axis, (kernel, stride) in enumerate(zip(used["kernel"], used["strides"], strict=True)):
            before, after = pads[first + axis]
            size = x.shape[first + axis] + before + after
            last = -(-(size - kernel) // stride) * stride
            if last < x.shape[first + axis] + before:
                over[first + axis] = (0, last + kernel - size)
    settings = {"padding": "valid", "strides": tuple(used["strides"])}
    kind = step.call.kind
    if "Pooling" not in kind:
        padded = np.pad(x, pads, mode=used["mode"])
        return rerun(step.layer, [padded], {**settings, "dilation_rate": tuple(used["dilation"])})
    settings["pool_size"] = tuple(used["kernel"])
    if "Max" in kind:
        filler = -np.inf if used["value"] == "nothing" else 0.0
        padded = np.pad(np.pad(x, pads, constant_values=filler), over, constant_values=-np.inf)
        return rerun(step.layer, [padded.astype(x.dtype)], settings)
    counted = np.ones_like(x)
    counted = np.pad(np.pad(counted, pads, constant_values=float(used["counts"])), over)
    total = rerun(step.layer, [np.pad(np.pad(x, pads), over)], settings)
    return np.asarray(total / rerun(step.layer, [counted], settings))


def _groups(site: Site, position: int, step: Step, event: Step) -> Iterator[Trial]:
    """A dense kernel with numbers outside of the blocks that PyTorch's groups have."""
    groups = int(event.settings.get("groups", 1))
    kernel = arrays_of(step.layer).get("kernel") if "Conv" in step.call.kind else None
    if groups == 1 or kernel is None or kernel.shape[-2] != step.inputs[0].shape[-1]:
        return
    blocks = np.zeros(kernel.shape[-2:], bool)
    rows, columns = kernel.shape[-2] // groups, kernel.shape[-1] // groups
    for group in range(groups):
        blocks[group * rows : (group + 1) * rows, group * columns : (group + 1) * columns] = True
    yield Trial(
        "groups",
        f"{groups} groups, as PyTorch has",
        partial(rerun, step.layer, step.inputs, None, {"kernel": kernel * blocks}),
        position,
        hint=f"give the Keras layer groups={groups}",
    )


def _words(keys: Sequence[str], want: Mapping[str, Any]) -> str:
    return " and ".join(_word(key, want[key]) for key in keys)


def _word(key: str, value: Any) -> str:
    if key == "pads":
        sides = tuple(a for a, _ in value)
        if not any(a or b for a, b in value):
            return "no padding"
        return f"padding {sides} symmetric" if all(a == b for a, b in value) else f"padding {value}"
    if key == "value":
        return "padding by less than any number" if value == "nothing" else "zeros as padding"
    if key == "counts":
        return "the padding counted in the mean" if value else "the padding not counted in the mean"
    if key == "ceil":
        return "a last window over the edge (ceil_mode)" if value else "no window over the edge"
    if key == "mode":
        return f"padding mode {value}"
    return f"{NAMES[key]} {value}"


def _hint(keys: Sequence[str], step: Step) -> str:
    strided = any(stride > 1 for stride in keras_window(step.settings, 1)["strides"])
    if keys == ("pads",) and strided and step.settings.get("padding") == "same":
        return "put a ZeroPadding layer before it and padding='valid'; at an odd input size both coincide (--odd-size)"
    if "pads" in keys:
        return "give the Keras layer PyTorch's padding: padding='valid', after a ZeroPadding layer where it is not 0"
    if "strides" in keys:
        return "the weights do not depend on it: move the stride in the Keras model"
    return ""
