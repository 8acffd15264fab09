"""A layer whose input is PyTorch's with one axis in another order: behind a join, a shuffle, a depth-to-space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from remap.layout.combine import Shape
from remap.proving.cause import Cause
from remap.proving.numerics.layout_lines import layout_lines
from remap.proving.numerics.reorder import Stretch, reordered
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of
from remap.sides.operation import CHANNELS


def trials(site: Site) -> Iterator[Trial]:
    """The kernel's input axis in PyTorch's order of the input; of a normalisation, its vectors."""
    position = _own_step(site)
    theirs = _torch_input(site)
    if position is None or theirs is None:
        return
    step = site.steps[position]
    ours = step.inputs[0]
    for array in _in_keras(theirs, ours):
        allowed = site.allowed(array, None)
        size = ours.shape[-1]
        flat = array.reshape(-1, size).astype(np.float64), ours.reshape(-1, size).astype(np.float64)
        if np.all(np.abs(flat[0] - flat[1]) <= allowed):
            return
        stretches = reordered(*flat, _divisions(site, size), _maps(site, size), allowed)
        if stretches is not None:
            yield _trial(site, position, step, stretches)


def _own_step(site: Site) -> int | None:
    """The row's layer among the steps, where it has weights."""
    calls = site.side.trace.calls
    own = calls[site.row.keras_call] if site.row.keras_call is not None else None
    for position, step in enumerate(site.steps):
        if step.call is own and not step.weightless and step.inputs and step.inputs[0].ndim > 1:
            return position
    return None


def _torch_input(site: Site) -> np.ndarray | None:
    call = site.torch.calls[site.row.first_call] if site.row.first_call is not None else None
    return site.torch.values[call.inputs[0]] if call is not None and call.inputs else None


def _in_keras(theirs: np.ndarray, ours: np.ndarray) -> Iterator[np.ndarray]:
    """PyTorch's array with its axes in Keras's order, as far as shapes tell."""
    if theirs.dtype.kind != "f" or theirs.size != ours.size:
        return
    if theirs.ndim > 2:
        moved = np.moveaxis(theirs, 1, -1)
        if moved.shape == ours.shape:
            yield moved
    if theirs.shape[-1] == ours.shape[-1]:
        yield theirs.reshape(ours.shape)


def _divisions(site: Site, size: int) -> list[tuple[int, ...]]:
    """Lengths of what is joined to an axis of a size, on either side."""
    lengths = dict[tuple[int, ...], None]()
    for trace in (site.side.trace, site.torch):
        for call in trace.calls:
            inputs = [trace.values[value] for value in call.inputs]
            if len(inputs) > 1 and call.outputs and all(array.ndim > 1 for array in inputs):
                axes = (-1, 1) if trace is site.torch else (-1,)
                for axis in axes:
                    joined = tuple(array.shape[axis] for array in inputs)
                    if sum(joined) == size:
                        lengths[joined] = None
    return list(lengths)


def _maps(site: Site, size: int) -> list[Shape]:
    """Shapes of one sample of values on either side, for whichever part of an axis they fill."""
    shapes = dict[Shape, None]()
    for value in site.torch.values:
        if value.ndim >= 3 and value[0].size <= size:
            shapes[value.shape[1:]] = None
    for value in site.side.trace.values:
        if value.ndim >= 3 and value[0].size <= size:
            shapes[(value.shape[-1], *value.shape[1:-1])] = None
    return list(shapes)


def _trial(site: Site, position: int, step: Step, stretches: Sequence[Stretch]) -> Trial:
    assignments = site.row.pair.assignments if site.row.pair is not None else ()
    place = f"{assignments[0].place}: " if assignments else ""
    words = " and ".join(_told(stretch, len(stretches) > 1) for stretch in stretches)
    return Trial(
        "its weights in that order of the input",
        partial(_run, step, np.concatenate([stretch.indices for stretch in stretches])),
        position,
        hint=f"{place}say the order in the layout:\n{layout_lines(assignments, stretches)}",
        why=f"{step.name} is given PyTorch's input in another order, {words}",
    )


def _told(stretch: Stretch, several: bool) -> str:
    """In words.

    >>> _told(Stretch(0, (4, 36), (1, 0)), False)
    '(4, 36) as (36, 4)'
    """
    at = f"entries {stretch.start} to {stretch.start + stretch.length - 1} " if several else ""
    if stretch.listed:
        return "which no factors of it tell"
    if len(stretch.shape) == 1:
        return f"{at}as they are"
    return f"{at}{stretch.shape} as {tuple(stretch.shape[axis] for axis in stretch.order)}"


def _run(step: Step, order: np.ndarray) -> np.ndarray:
    """The layer with its weights on PyTorch's order of the input; what keeps the order is brought back into it."""
    held = arrays_of(step.layer)
    kernel = next((name for name in held if name.endswith("kernel")), None)
    if kernel is not None and not _by_channel(step):
        axis = 0 if held[kernel].ndim == 2 else -2
        return step.rerun(None, {kernel: np.take(held[kernel], order, axis)})
    moved = {name: np.take(array, order, -2 if array.ndim > 1 else 0) for name, array in held.items()}
    value = step.rerun(None, moved)
    back = np.empty_like(value)
    back[..., order] = value
    return back


def _by_channel(step: Step) -> bool:
    """Whether each channel goes through by itself."""
    return step.settings.get("groups") == CHANNELS


CAUSE = Cause(
    "V412",
    "input order",
    "a layer's input has one axis in another order than PyTorch's: a flatten that is joined with something, a channel "
    "shuffle, a depth-to-space",
    "weights",
    "say the order in the layout of the rule",
    trials,
)
