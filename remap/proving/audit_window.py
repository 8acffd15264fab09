"""Settings of convolutions and poolings that disagree: window, padding, groups, what is taken off."""

from __future__ import annotations

from collections.abc import Iterator

from remap.inventory.inventory import Inventory, Layer
from remap.proving.causes import (
    ceil_mode,
    count_include_pad,
    dilation,
    groups,
    kernel_size,
    output_padding,
    padding,
    padding_mode,
    stride,
)
from remap.proving.disagreement import Disagreement
from remap.proving.mapped import Mapped, words
from remap.sides.keras.operations import described_layer
from remap.sides.operation import POOLING, SAME, WINDOWED, Operation, Pads, added_pads, same_numbers, settled_pads
from remap.sides.torch.operations import given_padding

_MADE_UP = "equal where a slice after it makes up for it; Keras on torch takes the odd one off the start"
_BY_SIZE = "asymmetric on even sizes, the same on odd ones: --odd-size tells"
_MULTIPLES = "equal where nothing is left over at the end: at sizes that are multiples of the stride"


def windows(pair: Mapped) -> Iterator[Disagreement]:
    """Stride, dilation, kernel, padding, groups, ceil_mode, padding mode, and what a mean counts."""
    torch, keras = pair.operations
    transposed = torch is keras is Operation.TRANSPOSED_CONVOLUTION
    if not transposed and not (torch in WINDOWED and keras in WINDOWED):
        return
    yield from pair.held(stride.CAUSE, setting="strides")
    yield from pair.held(dilation.CAUSE)
    if torch in POOLING:
        yield from pair.held(kernel_size.CAUSE, setting="kernel")
    yield from _crops(pair) if transposed else _padding(pair)
    if torch not in POOLING:
        yield from pair.held(groups.CAUSE)
    yield from pair.held(ceil_mode.CAUSE, "PyTorch's last window may hang over the edge")
    yield from pair.held(padding_mode.CAUSE)
    if pair.theirs.get("count_include_pad") and _pads_itself(pair):
        yield from pair.held(count_include_pad.CAUSE, "PyTorch counts the padding in the mean")


def _padding(pair: Mapped) -> Iterator[Disagreement]:
    theirs, own = pair.theirs.get("padding"), pair.ours["padding"]
    if theirs is None:
        return
    rank = len(pair.ours["stride"])
    before = _padding_before(pair.layer, pair.target, rank)
    wanted, have = settled_pads(pair.theirs), settled_pads(pair.ours)
    if None in (wanted, have):
        if theirs == own and not any(map(any, before)):
            return
        sizes = pair.sizes().get(pair.layer.path)
        inner = (
            sizes
            if sizes is None
            else [n if n is None else n - a - b for n, (a, b) in zip(sizes, before, strict=False)]
        )
        at_sizes = settled_pads(pair.theirs, inner), settled_pads(pair.ours, sizes)
        if None not in at_sizes and same_numbers(at_sizes[0] or (), added_pads(before, at_sizes[1] or ()), (0, 0)):
            return
    if wanted is None:
        return
    after = f" after ZeroPadding {words(before)}" if any(map(any, before)) else ""
    told = f"{SAME if own == SAME else 'causal' if any(map(any, own)) else 'valid'}{after}"
    if have is not None:
        if not same_numbers(wanted, added_pads(before, have), (0, 0)):
            yield pair.told("padding", words(wanted), told, code=padding.CAUSE.code)
        return
    strides = pair.ours["stride"]
    reach = [(k - 1) * d for k, d in zip(pair.ours["kernel_size"], pair.ours["dilation"], strict=True)]
    strided = f"{told} at stride {words(strides)}"
    if all(2 * a in (r, r + 1) for (a, _), r in zip(wanted, reach, strict=False)):
        yield pair.told("padding", f"{words(wanted)} symmetric", strided, _BY_SIZE, code=padding.CAUSE.code)
    elif not any(map(any, wanted)) and all(r < s for r, s in zip(reach, strides, strict=True)):
        yield pair.told("padding", words(wanted), strided, _MULTIPLES, code=padding.CAUSE.code)
    else:
        yield pair.told("padding", words(wanted), told, code=padding.CAUSE.code)


def _pads_itself(pair: Mapped) -> bool:
    pads = settled_pads(pair.ours) or settled_pads(pair.ours, pair.sizes().get(pair.layer.path))
    return pads is None or any(map(any, pads))


def _padding_before(layer: Layer, target: Inventory, rank: int) -> Pads:
    by_name = {entry.name: entry for entry in target.layers}
    for name in layer.inputs:
        operation, settings = described_layer(by_name[name]) if name in by_name else (Operation.OTHER, {})
        if operation is Operation.PADDING and len(settings["padding"]) == rank:
            return tuple(settings["padding"])
    return ((0, 0),) * rank


def _crops(pair: Mapped) -> Iterator[Disagreement]:
    """Padding and output_padding of a transposed convolution, as what each side takes off the full output."""
    ours, theirs = pair.ours["crop"], pair.theirs["crop"]
    for after in pair.target.layers:
        operation, settings = described_layer(after)
        if pair.layer.name in after.inputs and operation is Operation.CROPPING:
            ours = added_pads(ours, settings["crop"])
    if same_numbers(ours, theirs, (0, 0)):
        return
    started = [before for before, _ in ours] == [before for before, _ in theirs]
    cause = output_padding.CAUSE if started else padding.CAUSE
    given = zip(("padding", "output_padding"), given_padding(theirs), strict=True)
    asked = ", ".join(f"{name} {words(value)}" for name, value in given)
    yield pair.told(
        cause.name,
        f"{asked}: {words(theirs)} taken off",
        f"{pair.layer.settings.get('padding', 'valid')}: {words(ours)} taken off",
        _MADE_UP,
        code=cause.code,
    )
