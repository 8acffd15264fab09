"""Numbers in a wrong order where shapes cannot tell: transposed, flipped, flattened otherwise, heads exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import permutations

import numpy as np

from remap.checking.compare import planned_array
from remap.proving.site import Site, Step
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of, rerun

HINT = "mend the layout of the rule"


def trials(site: Site) -> Iterator[Trial]:
    """The kernels of each suspected layer in other orders; then what the plan says the layer should hold."""
    for position, step in enumerate(site.steps):
        held = arrays_of(step.layer)
        for name, kernel in held.items():
            if not name.endswith(("kernel", "embeddings")):
                continue
            for cause, text, changed in _orders(site, step, kernel):
                yield Trial(
                    cause,
                    f"the {name} {text}",
                    partial(rerun, step.layer, step.inputs, None, {name: changed}),
                    position,
                    "weights",
                    HINT,
                )
        bias = _checkpoint_bias(site, held)
        if bias is not None:
            yield Trial(
                "bias not loaded",
                "the checkpoint's bias instead of zeros",
                partial(rerun, step.layer, step.inputs, None, {"bias": bias}),
                position,
                "weights",
                HINT,
            )
        planned = _planned(site, step, held)
        if planned:
            yield Trial(
                "weights",
                f"the planned {', '.join(planned)}",
                partial(rerun, step.layer, step.inputs, None, planned),
                position,
                "weights",
                "write the file again, by remap apply",
            )


def _orders(site: Site, step: Step, kernel: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    kind = step.call.kind
    if kernel.ndim == 2:
        if kernel.shape[0] == kernel.shape[1]:
            yield "transposition", "transposed", np.ascontiguousarray(kernel.T)
        yield from _flattened(site, step, kernel)
    rank = kernel.ndim - 2
    if "Conv" in kind and rank >= 1:
        yield from _kernels(kernel, rank)
    if kernel.ndim == 3 and "Conv" not in kind:
        yield from _heads(kernel)


def _kernels(kernel: np.ndarray, rank: int) -> Iterator[tuple[str, str, np.ndarray]]:
    own = tuple(range(kernel.ndim))
    for order in permutations(range(rank)):
        if order != own[:rank] and all(kernel.shape[a] == kernel.shape[b] for a, b in enumerate(order)):
            yield (
                "transposition",
                f"with its spatial axes in the order {order}",
                kernel.transpose(*order, rank, rank + 1),
            )
    if kernel.shape[-1] == kernel.shape[-2]:
        swapped = kernel.swapaxes(-1, -2)
        yield "transposition", "with inputs and outputs exchanged", swapped
        for order in permutations(range(rank)):
            if order != own[:rank] and all(kernel.shape[a] == kernel.shape[b] for a, b in enumerate(order)):
                text = f"with inputs and outputs exchanged and its spatial axes in the order {order}"
                yield "transposition", text, swapped.transpose(*order, rank, rank + 1)
    yield "flip", "flipped along its spatial axes", np.flip(kernel, tuple(range(rank)))
    for parts in range(2, kernel.shape[-1]):
        if kernel.shape[-1] % parts == 0:
            regrouped = kernel.reshape(*kernel.shape[:-1], parts, -1).swapaxes(-1, -2).reshape(kernel.shape)
            yield "channel order", f"with its output channels regrouped from {parts} groups", regrouped
    if kernel.shape[-1] > 1:
        for parts in {kernel.shape[-1], kernel.shape[-2]}:
            flat = kernel.reshape(*kernel.shape[:-2], -1)
            if parts > 1 and flat.shape[-1] % parts == 0:
                regrouped = flat.reshape(*kernel.shape[:-2], parts, -1).swapaxes(-1, -2).reshape(kernel.shape)
                yield "channel order", "with channel and multiplier exchanged", regrouped


def _flattened(site: Site, step: Step, kernel: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """The rows, and then the columns, in the order of another flatten."""
    for shape in _maps(site, step):
        axes = ("channel", "height", "width", "depth")[: len(shape)] if len(shape) <= 4 else ()
        for order in permutations(range(len(shape))):
            if order == tuple(range(len(shape))) or not axes:
                continue
            moved = np.arange(int(np.prod(shape))).reshape(shape).transpose(order).ravel()
            if len(moved) == kernel.shape[0]:
                yield "flatten order", f"rows reordered from a flatten of {shape} by {order}", kernel[moved]
            if len(moved) == kernel.shape[1]:
                yield "flatten order", f"columns reordered from a flatten of {shape} by {order}", kernel[:, moved]


def _maps(site: Site, step: Step) -> Iterator[tuple[int, ...]]:
    """Shapes of maps, channels first and last, whose flattening feeds the step or follows it."""
    seen = set()
    size = step.inputs[0].shape[-1] if step.inputs else 0
    values = [*site.torch.values, *site.side.trace.values]
    for value in values:
        if value.ndim >= 3 and value[0].size in (size, step.output.shape[-1]) and value.shape[1:] not in seen:
            shape = value.shape[1:]
            for own in (shape, (*shape[1:], shape[0]), (shape[-1], *shape[:-1])):
                if own not in seen:
                    seen.add(own)
                    yield own


def _heads(kernel: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    a, b, c = kernel.shape
    yield "head order", "with heads and their sizes exchanged", kernel.reshape(a, c, b).swapaxes(1, 2)
    yield "head order", "with heads and their sizes exchanged", kernel.reshape(b, a, c).swapaxes(0, 1)
    if a == b:
        yield "transposition", "with its first axes exchanged", kernel.swapaxes(0, 1)
    if a == b * c:
        yield "transposition", "transposed", kernel.reshape(a, a).T.reshape(kernel.shape)
    if c == a * b:
        yield "transposition", "transposed", kernel.reshape(c, c).T.reshape(kernel.shape)


def _checkpoint_bias(site: Site, held: dict[str, np.ndarray]) -> np.ndarray | None:
    """The bias of the row's module, where the layer has zeros in its place."""
    own = held.get("bias")
    for module in site.row.pair.modules if site.row.pair and own is not None and not np.any(own) else ():
        tensor = site.plan.checkpoint.get(f"{module}.bias" if module else "bias")
        if tensor is not None and own is not None and tensor.shape == own.shape:
            return np.array(tensor.array(), dtype=own.dtype)
    return None


def _planned(site: Site, step: Step, held: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the plan says, where the layer holds something else."""
    found = {}
    for assignment in site.row.pair.assignments if site.row.pair else ():
        name = next((name for name in held if assignment.name.endswith(name)), None)
        if name is None or held[name].shape != assignment.shape:
            continue
        wanted = planned_array(assignment, held[name].dtype)
        if not np.array_equal(wanted, held[name]):
            found[name] = wanted
    return found
