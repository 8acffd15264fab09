"""Two layers of one shape that take the same input and have each other's weights, as a query and a key.

Each gives what the module gives that its rule names, and so no layer differs until the two come together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from remap.errors import TargetError
from remap.proving.cause import Cause
from remap.proving.limits import MOST_EXCHANGES, RECENT
from remap.proving.numerics.sent import Sent, live_names, sent_here
from remap.proving.site import Site
from remap.proving.step import Step, step_of
from remap.proving.trial import Trial
from remap.sides.keras.rerun import holding
from remap.sides.keras.side import KerasSide

_Live = tuple[Any, Sent, dict[str, str]]


def trials(site: Site) -> Iterator[Trial]:
    """The whole model, with the weights of every two such layers right before the place exchanged."""
    row, torch = site.row, site.torch
    if not site.feeds or row.torch_value < 0:
        return
    end = torch.producers.get(row.torch_value)
    kind = torch.calls[end] if end is not None else None
    if kind is None or kind.outputs[0] != row.torch_value:
        return
    against = step_of(torch, kind, None)
    for one, other in list(_pairs(site))[:MOST_EXCHANGES]:
        yield _trial(site, one, other, against)


def _pairs(site: Site) -> Iterator[tuple[_Live, _Live]]:
    """Layers of one shape with the same input, among the last that were called before the place."""
    keras = site.side.trace
    stop = len(keras.calls) if site.row.keras_call is None else site.row.keras_call
    before: dict[str, tuple[int, _Live]] = {}
    for index in range(stop - 1, -1, -1):
        call = keras.calls[index]
        own, layer = sent_here(site).get(call.name), site.side.layer_of.get(index)
        if own is None or call.name in before or index in keras.inside or not call.inputs:
            continue
        names = live_names(layer, own)
        if names:
            before[call.name] = call.inputs[0], (layer, own, names)
        if len(before) >= RECENT:
            break
    for (given, one), (same, other) in combinations(reversed(before.values()), 2):
        if one[1].shapes == other[1].shapes and _same(keras.values[given], keras.values[same]):
            yield one, other


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one is other or np.array_equal(one, other)


def _trial(site: Site, one: _Live, other: _Live, against: Step) -> Trial:
    (_, first, _), (_, second, _) = one, other
    ours, theirs = first.title(second), second.title(first)
    return Trial(
        f"the weights of {first.layer} and {second.layer} exchanged",
        partial(_exchanged, site, one, other),
        max(len(site.steps) - 1, 0),
        hint=f"exchange their targets: {first.lines} has to send {ours} to {second.layer}, "
        f"{second.lines} has to send {theirs} to {first.layer}",
        against=against,
        why=f"{first.lines} sends {ours} to {first.layer}, {second.lines} sends {theirs} to {second.layer}; "
        "the model uses each where PyTorch uses the other",
        layer=first.layer,
    )


def _exchanged(site: Site, one: _Live, other: _Live) -> np.ndarray:
    """The row's value in a run of the model with the weights of both exchanged."""
    (layer, own, names), (second, theirs, others) = one, other
    side, row, keras = site.side, site.row, site.side.trace
    again = KerasSide(side.model, side.survey, side.title)
    with ExitStack() as stack:
        stack.enter_context(holding(layer, theirs.weights(names)))
        stack.enter_context(holding(second, own.weights(others)))
        again.run(site.feeds)
    if row.keras_call is None:
        place = [value for _, value in keras.outputs].index(row.keras_value)
        return again.trace.values[again.trace.outputs[place][1]]
    name = keras.calls[row.keras_call].name
    calls = again.trace.by_name.get(name, [])
    turn = keras.by_name[name].index(row.keras_call)
    if turn >= len(calls):
        raise TargetError("the layer was not called again", where=side.title, found=name)
    return again.trace.values[again.trace.calls[calls[turn]].outputs[0]]


CAUSE = Cause(
    "V411",
    "layers beside one another exchanged",
    "two layers of one shape that take the same input, as a query and a key, have each other's weights",
    "weights",
    "exchange the targets of the two rules",
    trials,
)
