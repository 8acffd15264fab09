"""Attention run again in other kinds: a layer's own weights, or PyTorch's queries, keys and values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np

from remap.proving.limits import SAME_ATTENTION, SAME_ATTENTION_EXACT
from remap.proving.numerics.bands import Attend, fitted
from remap.proving.numerics.softmax import NO_MASK, PLAIN, AttentionFault, Variant, attention, masks_of, split, variants
from remap.proving.site import Site
from remap.proving.step import Step
from remap.proving.trial import Trial
from remap.sides.keras.rerun import arrays_of
from remap.sides.operation import Operation
from remap.sides.vocabulary.keras_layers import JOINING, PROJECTIONS, bias_of

Projections = tuple[np.ndarray, ...]
WINDOW = "a window"


@dataclass(frozen=True, slots=True)
class Attending:
    """Attention that can be computed in every kind.

    Args:
        own: The kind that is there: Keras's where a layer computes it, else PyTorch's.
        every: Other kinds it may be held against, the likeliest first.
        windows: Kinds with sliding windows, looked for when they are asked for.
        trial: The suspicion that goes with a kind.
    """

    own: Variant
    every: Sequence[Variant]
    windows: Callable[[], Iterable[Variant]]
    trial: Callable[[Variant], Trial]


def trials_of(site: Site, fault: AttentionFault) -> Iterator[Trial]:
    """Every kind of attention that is apart from the one that is there in one way.

    The layer's own weights in other kinds; else PyTorch's queries, keys and values in them.
    """
    for attending in (*site.once(_in_layers), *site.once(_beside_layers)):
        windows = attending.windows() if fault is AttentionFault.MASK else ()
        for variant in chain(attending.every, windows):  # one window at a time: two may have one name
            if variant != attending.own and variant.apart_from(attending.own) is fault:
                yield attending.trial(variant)


def _in_layers(site: Site) -> list[Attending]:
    attending = []
    for position, step in enumerate(site.steps):
        weights = arrays_of(step.layer) if len(step.inputs) >= 2 or step.operation is Operation.ATTENTION else {}
        if {*PROJECTIONS, JOINING} <= set(weights):
            attending.append(_in_the_layer(site, position, step, weights))
    return attending


def _beside_layers(site: Site) -> list[Attending]:
    have = site.unseen if site.unseen is not None else _before_row(site)
    if have is None:
        return []
    told = (_reproducing(*operands, have, site.tolerance.float64) for operands in _operands(site))
    return [entry for entry in told if entry is not None]


def _in_the_layer(site: Site, position: int, step: Step, weights: Mapping[str, np.ndarray]) -> Attending:
    queries, keys = step.inputs[0], step.inputs[min(1, len(step.inputs) - 1)]
    masks = masks_of([step, *site.events], len(queries), queries.shape[1], keys.shape[1])
    heads = [event.settings["heads"] for event in site.events if "heads" in event.settings]
    projections = _projections(step, weights)
    compute = partial(_layer, projections, weights, masks)
    every = list(variants(masks, [*heads, weights[PROJECTIONS[0]].shape[1]], site.tolerance.float64))

    def attend(positions: np.ndarray, mask: np.ndarray) -> np.ndarray:
        query = [projections[0][0][:, positions]]
        return _layer([query, *projections[1:]], weights, {WINDOW: mask}, Variant(mask=WINDOW))

    tried = _likeliest_first(every, _windowed(attend, step.output, keys.shape[1], masks, PLAIN))
    own = _own(step.output, tried, compute, site.tolerance.float64) or PLAIN

    def trial(variant: Variant) -> Trial:
        instead = f" instead of {own.mask}" if own.mask not in (NO_MASK, variant.mask) else ""
        return Trial(variant.told_beside(own) + instead, partial(compute, variant), position)

    return Attending(own, every, tuple, trial)


def _reproducing(
    operands: Projections, mixed: np.ndarray, masks: dict[str, np.ndarray], have: np.ndarray, float64: bool
) -> Attending | None:
    """What Keras computes without a layer, told from PyTorch's own queries, keys and values."""
    every = list(variants(masks, _divisors(operands[0].shape[1] * operands[0].shape[-1]), float64))
    compute = partial(_mixed, operands, masks)

    def windowed(value: np.ndarray, like: Variant) -> Iterator[Variant]:
        def attend(positions: np.ndarray, mask: np.ndarray) -> np.ndarray:
            query = operands[0][:, :, positions]
            return _mixed((query, *operands[1:]), {WINDOW: mask}, replace(like, mask=WINDOW)).swapaxes(1, 2)

        for made in _by_positions(value, mixed.shape):
            yield from _windowed(attend, made, operands[1].shape[2], masks, like)

    own = _own(mixed, _likeliest_first(every, windowed(mixed, PLAIN)), compute, float64)
    if own is None:
        return None

    def trial(variant: Variant) -> Trial:
        told = f"Keras computes attention with {variant.told_beside(own)}, PyTorch with {own.told_beside(variant)}"
        return Trial(told, partial(compute, variant), expected=have)

    return Attending(own, every, partial(windowed, have, own), trial)


def _likeliest_first(every: Sequence[Variant], windowed: Iterable[Variant]) -> Iterator[Variant]:
    """Variants of scale and mask alone, then those of a sliding window, not looked for before, then the others."""
    yield from (variant for variant in every if variant.plain)
    yield from windowed
    yield from (variant for variant in every if not variant.plain)


def _windowed(
    attend: Attend, made: np.ndarray, keys: int, masks: dict[str, np.ndarray], like: Variant
) -> Iterator[Variant]:
    """The variants with the sliding windows that make most nearly a value; each window joins the masks."""
    if not like.plain:
        return
    try:
        for name, mask in fitted(attend, made, keys, masks.get(like.mask)):
            masks[name] = mask
            yield replace(like, mask=name)
    except (IndexError, ValueError):  # a layer's inputs may be others than attention's three
        return


def _by_positions(value: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """A value as (batch, positions, ...), where it can be attention's, of shape (batch, heads, positions, size)."""
    batch, _, positions = shape[:3]
    if value.size == np.prod(shape) and value.shape[:2] == (batch, positions):
        yield value
    if value.ndim == len(shape) and sorted(value.shape) == sorted(shape) and value.shape[2] == positions:
        yield value.swapaxes(1, 2)


def _divisors(size: int) -> list[int]:
    return [count for count in range(1, size + 1) if size % count == 0]


def _own(
    value: np.ndarray, every: Iterable[Variant], compute: Callable[[Variant], np.ndarray], float64: bool
) -> Variant | None:
    """The variant that makes a value; in double precision one that makes it exactly, if there is any."""
    every = list(every) if float64 else every
    for exact in (True, False)[not float64 :]:
        own = next((variant for variant in every if _is(value, _made(compute, variant), exact)), None)
        if own is not None:
            return own
    return None


def _made(compute: Callable[[Variant], np.ndarray], variant: Variant) -> np.ndarray:
    """What a variant makes; nothing where it cannot be: a layer's inputs may be others than attention's three."""
    try:
        return compute(variant)
    except (IndexError, ValueError):
        return np.empty(0)


def _is(expected: np.ndarray, made: np.ndarray, exact: bool) -> bool:
    relative, absolute = SAME_ATTENTION_EXACT if exact else SAME_ATTENTION
    return expected.size == made.size and np.allclose(expected.reshape(made.shape), made, rtol=relative, atol=absolute)


def _mixed(operands: Projections, masks: Mapping[str, np.ndarray], variant: Variant) -> np.ndarray:
    q, k, v = (operands[source] for source in variant.order)
    if variant.heads:
        q, k, v = (split(array.swapaxes(1, 2), variant.heads, bool(variant.interleaved)) for array in (q, k, v))
    mixed = attention(q, k, v, variant.factor(q.shape[-1], q.shape[1]), masks.get(variant.mask))
    if variant.interleaved == "everywhere":
        return mixed.transpose(0, 2, 3, 1).reshape(len(mixed), mixed.shape[2], -1)
    return mixed


def _projections(step: Step, weights: Mapping[str, np.ndarray]) -> list[list[np.ndarray]]:
    """Each of the layer's three inputs by each of its three projections, of shape (batch, positions, heads, size)."""
    query, value = step.inputs[0], step.inputs[1] if len(step.inputs) > 1 else step.inputs[0]
    width = len(weights[PROJECTIONS[1]])
    key = next((x for x in step.inputs[2:3] if x.dtype.kind == "f" and x.shape[-1] == width), value)
    made: dict[tuple[int, str], np.ndarray] = {}
    for x in (query, key, value):
        for name in PROJECTIONS:
            kernel = weights[name]
            if (id(x), name) not in made and x.shape[-1] == kernel.shape[0]:
                y = (x.astype(np.float64) @ kernel.reshape(len(kernel), -1)).reshape(*x.shape[:2], *kernel.shape[1:])
                made[id(x), name] = y + weights.get(bias_of(name), 0.0)
    return [[made.get((id(x), name), np.empty(0)) for name in PROJECTIONS] for x in (query, key, value)]


def _layer(
    projections: list[list[np.ndarray]],
    weights: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    variant: Variant,
) -> np.ndarray:
    chosen = [projections[place][source] for place, source in enumerate(variant.order)]
    chosen = [y.swapaxes(2, 3) if variant.interleaved else y for y in chosen]
    q, k, v = (split(y, variant.heads or y.shape[2]) for y in chosen)
    mixed = attention(q, k, v, variant.factor(q.shape[-1], q.shape[1]), masks.get(variant.mask)).swapaxes(1, 2)
    kernel = weights[JOINING]
    if variant.interleaved == "everywhere":
        kernel = kernel.swapaxes(0, 1)
    out = mixed.reshape(*mixed.shape[:2], -1) @ kernel.reshape(-1, kernel.shape[-1])
    return np.asarray(out + weights.get(bias_of(JOINING), 0.0))


def _operands(site: Site) -> Iterator[tuple[Projections, np.ndarray, dict[str, np.ndarray]]]:
    """Queries, keys and values of PyTorch's attention, and what it makes of them: one function, or two products."""
    for event in site.events:
        if event.attends and len(event.inputs) >= 3 and event.inputs[0].ndim == 4:
            q, k = event.inputs[:2]
            yield event.inputs[:3], event.output, masks_of([event], len(q), q.shape[2], k.shape[2])
    products = [
        event
        for event in site.events
        if event.operation in (Operation.MATMUL, Operation.EINSUM)
        and len(event.inputs) == 2
        and event.inputs[0].ndim == 4
    ]
    if len(products) >= 2:
        q, k = products[0].inputs
        v = products[-1].inputs[1]
        written = products[0].operation is Operation.EINSUM and k.shape == v.shape and k.shape[-1] == q.shape[-1]
        k = k if written else k.swapaxes(-1, -2)
        between = [event for event in site.events if event.operation is Operation.SOFTMAX]
        yield (q, k, v), products[-1].output, masks_of(between, len(q), q.shape[2], k.shape[2])


def _before_row(site: Site) -> np.ndarray | None:
    """What went into the row's layer, where that is not yet what PyTorch has."""
    return site.steps[-1].inputs[0] if len(site.steps) > 1 and site.steps[-1].inputs else None
