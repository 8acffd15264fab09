"""Attention: another scale, a mask on one side only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from remap.verify.causes.functions import softmax
from remap.verify.explain import Trial
from remap.verify.rerun import arrays_of
from remap.verify.site import Site, Step

Scale = Callable[[int, int], float]
SCALES: dict[str, Scale] = {
    "1/sqrt(head size)": lambda size, heads: size**-0.5,
    "1": lambda size, heads: 1.0,
    "1/sqrt(width)": lambda size, heads: (size * heads) ** -0.5,
    "1/head size": lambda size, heads: 1.0 / size,
    "sqrt(head size)": lambda size, heads: size**0.5,
}
VARIANTS = [(scale, causal) for causal in (False, True) for scale in SCALES]


def trials(site: Site) -> Iterator[Trial]:
    """The layer's own weights in attention of other kinds; else PyTorch's queries, keys and values in them."""
    for position, step in enumerate(site.steps):
        weights = arrays_of(step.layer) if len(step.inputs) >= 2 or "Attention" in step.call.kind else {}
        if {"query/kernel", "key/kernel", "value/kernel", "attention_output/kernel"} <= set(weights):
            for scale, causal in VARIANTS:
                yield Trial(
                    *_words(scale, causal, step),
                    partial(_layer, step, weights, scale, causal),
                    position,
                    hint="give the Keras layer that scale and that mask",
                )
    have = site.unseen if site.unseen is not None else _before_row(site)
    if have is not None:
        for operands, mixed in _operands(site):
            yield from _reproducing(operands, mixed, have)


def _reproducing(operands: tuple[np.ndarray, ...], mixed: np.ndarray, have: np.ndarray) -> Iterator[Trial]:
    """What Keras computes without a layer, told from PyTorch's own queries, keys and values."""
    own = next((variant for variant in VARIANTS if _is(mixed, _mixed(operands, *variant))), None)
    for scale, causal in VARIANTS:
        if own is None or (scale, causal) == own:
            continue
        yield Trial(
            "attention mask" if scale == own[0] else "attention scale",
            f"Keras computes attention with {_told(scale, causal)}, PyTorch with {_told(*own)}",
            partial(_mixed, operands, scale, causal),
            expected=have,
            hint="mend the attention of the Keras model",
        )


def _told(scale: str, causal: bool) -> str:
    return f"scale {scale} and {'a causal mask' if causal else 'no causal mask'}"


def _is(expected: np.ndarray, found: np.ndarray) -> bool:
    return expected.shape == found.shape and np.allclose(expected, found, rtol=1e-3, atol=1e-5)


def _mixed(operands: tuple[np.ndarray, ...], scale: str, causal: bool) -> np.ndarray:
    q, k, v = operands
    return attention(q, k, v, SCALES[scale](q.shape[-1], q.shape[1]), causal)


def _words(scale: str, causal: bool, step: Step) -> tuple[str, str]:
    plain = scale == "1/sqrt(head size)"
    masked = bool(step.settings.get("use_causal_mask", False))
    if causal != masked and plain:
        return "attention mask", "a causal mask" if causal else "no causal mask"
    return "attention scale", f"attention scale {scale}"


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, causal: bool) -> np.ndarray:
    """Softmax attention; arrays of shape (batch, heads, positions, size)."""
    scores = np.einsum("bhtd,bhsd->bhts", q.astype(np.float64) * scale, k)
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -np.inf)
    return np.asarray(np.einsum("bhts,bhsd->bhtd", softmax(scores, -1), v))


def _layer(step: Step, weights: dict[str, np.ndarray], scale: str, causal: bool) -> np.ndarray:
    query, value = step.inputs[0], step.inputs[1] if len(step.inputs) > 1 else step.inputs[0]
    key = (
        step.inputs[2] if len(step.inputs) > 2 and step.inputs[2].shape[-1] == weights["key/kernel"].shape[0] else value
    )

    def projected(x: np.ndarray, name: str) -> np.ndarray:
        y = np.asarray(np.einsum("bte,ehd->bhtd", x.astype(np.float64), weights[f"{name}/kernel"]))
        bias = weights.get(f"{name}/bias")
        return y if bias is None else y + bias[None, :, None, :]

    q, k, v = projected(query, "query"), projected(key, "key"), projected(value, "value")
    mixed = attention(q, k, v, SCALES[scale](q.shape[-1], q.shape[1]), causal)
    out = np.einsum("bhtd,hde->bte", mixed, weights["attention_output/kernel"])
    return np.asarray(out + weights.get("attention_output/bias", 0.0))


def _operands(site: Site) -> Iterator[tuple[tuple[np.ndarray, ...], np.ndarray]]:
    """Queries, keys and values of PyTorch's attention, and what it makes of them: one function, or two products."""
    for event in site.events:
        if event.kind == "scaled_dot_product_attention" and len(event.inputs) >= 3 and event.inputs[0].ndim == 4:
            yield event.inputs[:3], event.output
    products = [
        event
        for event in site.events
        if event.kind in ("matmul", "bmm", "einsum") and len(event.inputs) == 2 and event.inputs[0].ndim == 4
    ]
    if len(products) >= 2:
        q, k = products[0].inputs
        v = products[-1].inputs[1]
        yield (
            (q, k if k.shape == v.shape and k.shape[-1] == q.shape[-1] else k.swapaxes(-1, -2), v),
            products[-1].output,
        )


def _before_row(site: Site) -> np.ndarray | None:
    """What went into the row's layer, where that is not yet what PyTorch has."""
    return site.steps[-1].inputs[0] if len(site.steps) > 1 and site.steps[-1].inputs else None
