"""Masks that are sliding windows: every token sees so many on its left and so many on its right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from remap.proving.limits import LOWEST

Attend = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Attention of the queries at some positions under a mask of shape (these, keys), as (batch, these, ...)."""


@dataclass(frozen=True, slots=True)
class Band:
    """A sliding window over a text.

    Args:
        left: How many tokens before itself each token sees.
        right: How many after itself.
        keys: Tokens of the text; a reach of all but one is one without end.
        queries: How many of them look: the last ones, as where the keys before them come from a cache.
    """

    left: int
    right: int
    keys: int
    queries: int

    def mask(self) -> np.ndarray:
        """What is added to the scores, of shape (queries, keys).

        >>> (Band(1, 0, 3, 3).mask() == 0).astype(int).tolist()
        [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
        >>> (Band(1, 0, 4, 2).mask() == 0).astype(int).tolist()
        [[0, 1, 1, 0], [0, 0, 1, 1]]
        """
        before = _before(self.queries, self.keys)
        return np.where((before <= self.left) & (-before <= self.right), 0.0, LOWEST)

    def told(self) -> str:
        """In words; one query alone has nothing to its right.

        >>> Band(3, 4, 8, 8).told(), Band(1, 0, 8, 1).told()
        ('a window of 3 tokens to the left and 4 to the right', 'a window of 1 token to the left')
        """
        left = "all" if self.left >= self.keys - 1 else str(self.left or "no")
        right = "all" if self.right >= self.queries - 1 else str(self.right or "none")
        words = f"a window of {left} token{'s' * (left != '1')} to the left"
        return words if self.queries == 1 else f"{words} and {right} to the right"


def _before(queries: int, keys: int) -> np.ndarray:
    """How far each key lies to the left of each query; the queries stand at the last keys."""
    return np.arange(keys - queries, keys)[:, None] - np.arange(keys)


def band_of(mask: np.ndarray) -> Band | None:
    """The band that a mask is, keys aside that no query sees; None where it is none, or bounds nothing.

    Where there are fewer queries than keys, they stand at the last keys that any of them sees: what lies behind is room
    of a cache.

    Args:
        mask: What is added to the scores, of shape (..., queries, keys).

    >>> band_of(Band(2, 1, 5, 5).mask()), band_of(np.zeros((5, 5)))
    (Band(left=2, right=1, keys=5, queries=5), None)
    >>> band_of(np.array([[LOWEST, 0, 0, LOWEST]])), band_of(np.array([[0, LOWEST, 0, LOWEST]]))
    (Band(left=1, right=0, keys=3, queries=1), None)
    """
    keeps = _keeps(mask)
    queries, end = keeps.shape[-2], _end(keeps.shape[-2], keeps)
    if not keeps.any() or queries > end:
        return None
    keeps = keeps[..., :end]
    before = np.broadcast_to(_before(queries, end), keeps.shape)[keeps]
    band = Band(max(int(before.max()), 0), max(-int(before.min()), 0), end, queries)
    whole = _keeps(band.mask())
    same = np.array_equal(keeps, whole & keeps.any(-2, keepdims=True)) and _in_one_run(keeps)
    return band if same and not whole.all() else None


def fitted(attend: Attend, made: np.ndarray, keys: int, mask: np.ndarray | None) -> Iterator[tuple[str, np.ndarray]]:
    """The bands under which attention makes what is nearest to a value: in words, and as what is added to the scores.

    Keys that no query sees under the mask are not seen under the band either; but where there are fewer queries than
    keys, those that lie before may be out of the mask's reach alone: a second band may reach them.

    Args:
        attend: Attention that can make the value.
        made: The value, of shape (batch, queries, ...).
        keys: Number of keys; for where the queries stand see :func:`band_of`.
        mask: A mask under which much the same is made; None where all keys are seen.
    """
    batch, queries = made.shape[:2]
    if queries > keys:
        return
    seen = _seen(mask, batch, keys)
    yield _fitted(attend, made, seen)
    if queries < keys and not seen.all():
        yield _fitted(attend, made, np.logical_or.accumulate(seen[:, ::-1], axis=1)[:, ::-1])


def _fitted(attend: Attend, made: np.ndarray, seen: np.ndarray) -> tuple[str, np.ndarray]:
    """The band over the keys that are seen, of shape (batch, keys).

    The last token of a text sees others on its left alone, and tells how far; the first one that looks then tells how
    far on its right. It takes one run of attention each, that has the token as every query and sees a token more from
    one to the next.
    """
    queries, keys = made.shape[1], seen.shape[1]
    sample = int(seen.sum(-1).argmax())
    first, last = np.flatnonzero(seen[sample])[[0, -1]]
    end = _end(queries, seen)
    start = max(first, end - queries)
    away, reaches = np.arange(keys), np.arange(keys)[:, None]

    def nearest(position: int, sees: np.ndarray) -> int:
        query = position - (end - queries)
        tried = attend(np.full(keys, query), np.where(sees & seen[sample], 0.0, LOWEST))[sample]
        apart = np.abs(tried.reshape(keys, -1) - made[sample, query].reshape(-1)).max(-1)
        return int(apart.argmin())

    left = nearest(last, last - away <= reaches)
    right = nearest(start, (start - away <= left) & (away - start <= reaches))
    band = Band(left if left < last - first else keys, right if right < last - start else keys, end, queries)
    whole = np.full((queries, keys), LOWEST)
    whole[:, :end] = band.mask()
    return band.told(), np.minimum(whole, np.where(seen[:, None, None], 0.0, LOWEST))


def _end(queries: int, seen: np.ndarray) -> int:
    """Behind which key the last query stands, given the keys that are seen, of shape (..., keys).

    It is the last of all, or the last one seen where there are more keys than queries.
    """
    keys = seen.shape[-1]
    places = np.flatnonzero(seen.reshape(-1, keys).any(0))
    return keys if queries >= keys or not places.size else int(places[-1]) + 1


def _in_one_run(keeps: np.ndarray) -> bool:
    """Whether what each query sees lies side by side."""
    begins = np.diff(keeps.astype(np.int8), axis=-1, prepend=0) == 1
    return bool(np.all(begins.sum(-1) <= 1))


def _keeps(mask: np.ndarray) -> np.ndarray:
    return mask > LOWEST / 2


def _seen(mask: np.ndarray | None, batch: int, keys: int) -> np.ndarray:
    """Which keys any query sees, of shape (batch, keys), under a mask of two axes, or of four with batch and heads."""
    if mask is None:
        return np.ones((batch, keys), bool)
    keeps = _keeps(mask)
    return np.broadcast_to(keeps.any((1, 2) if keeps.ndim == 4 else 0), (batch, keys))
