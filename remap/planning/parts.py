"""Cutting a plan into parts of about equal weight, each a run of its variables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod

from remap.layout.tiles import Value
from remap.planning.derived import Derived, leaves


def bytes_read(value: Value) -> int:
    """Bytes of its sources that making a variable reads; of what a computed source is made from, all."""
    total = sum(source.nbytes for each in value.sources if isinstance(each, Derived) for source in leaves(each))
    for view in value.recipe.views:
        source = value.sources[view.source]
        if not isinstance(source, Derived):
            total += prod(view.shape) * source.dtype.itemsize
    return total


def runs(weights: Sequence[int], count: int) -> list[slice]:
    """``count`` neighbouring runs of items that cover them all, of about the same weight.

    None weighs more than its share and the heaviest item together, and none is empty while there are as many items as
    runs.

    >>> runs([1, 1, 1, 9, 1, 1], 3)
    [slice(0, 3, None), slice(3, 4, None), slice(4, 6, None)]
    >>> runs([5], 2)
    [slice(0, 1, None), slice(1, 1, None)]
    """
    total = sum(weights)
    middles = [end - weight / 2 for end, weight in zip(accumulate(weights), weights, strict=True)]
    ends = [0]
    for number in range(1, count):
        share = total * number / count
        end = next((index for index in range(ends[-1], len(weights)) if middles[index] >= share), len(weights))
        least, most = ends[-1] + 1, len(weights) - (count - number)
        ends.append(min(max(end, least), max(most, least), len(weights)))
    return [slice(start, stop) for start, stop in pairwise([*ends, len(weights)])]
