"""Masks that are sliding windows: every token sees so many on its left and so many on its right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LOWEST = -1e30
"""What a mask adds to the score of a key that a query does not see."""
Attend = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Attention of the queries at some positions under a mask of shape (these, keys), as (batch, these, ...)."""


@dataclass(frozen=True, slots=True)
class Band:
    """A sliding window over a text.

    Args:
        left: How many tokens before itself each token sees.
        right: How many after itself.
        count: Tokens of the text; a reach of all but one is one without end.
    """

    left: int
    right: int
    count: int

    def mask(self) -> np.ndarray:
        """What is added to the scores, of shape (count, count).

        >>> (Band(1, 0, 3).mask() == 0).astype(int).tolist()
        [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
        """
        before = _before(self.count)
        return np.where((before <= self.left) & (-before <= self.right), 0.0, LOWEST)

    def told(self) -> str:
        """In words.

        >>> Band(3, 4, 8).told(), Band(1, 0, 8).told()
        ('a window of 3 tokens to the left and 4 to the right', 'a window of 1 token to the left and none to the right')
        """
        left = self._reach(self.left, "no")
        return f"a window of {left} token{'s' * (left != '1')} to the left and {self._reach(self.right)} to the right"

    def _reach(self, tokens: int, none: str = "none") -> str:
        return "all" if tokens >= self.count - 1 else str(tokens or none)


def _before(count: int) -> np.ndarray:
    """How far each key lies to the left of each query."""
    return np.arange(count)[:, None] - np.arange(count)


def band_of(mask: np.ndarray) -> Band | None:
    """The band that a mask is, keys aside that no query sees; None where it is none, or bounds nothing.

    Args:
        mask: What is added to the scores, of shape (..., queries, keys).

    >>> band_of(Band(2, 1, 5).mask()), band_of(np.zeros((5, 5)))
    (Band(left=2, right=1, count=5), None)
    """
    keeps = _keeps(mask)
    count = mask.shape[-1]
    if keeps.shape[-2] != count or not keeps.any():
        return None
    before = np.broadcast_to(_before(count), keeps.shape)[keeps]
    band = Band(max(int(before.max()), 0), max(-int(before.min()), 0), count)
    whole = _keeps(band.mask())
    return band if not whole.all() and np.array_equal(keeps, whole & keeps.any(-2, keepdims=True)) else None


def fitted(attend: Attend, made: np.ndarray, mask: np.ndarray | None) -> tuple[str, np.ndarray]:
    """The band under which attention makes what is nearest to a value: in words, and as what is added to the scores.

    The last token of a text sees others on its left alone, the first on its right alone: each tells one reach, in one
    run of attention that has it as every query and sees a token more from one to the next.

    Args:
        attend: Attention that can make the value.
        made: The value, of shape (batch, positions, ...).
        mask: A mask whose keys that no query sees are not seen under the band either; None where all are.
    """
    batch, count = made.shape[:2]
    seen = _seen(mask, batch, count)
    sample = int(seen.sum(-1).argmax())
    first, last = np.flatnonzero(seen[sample])[[0, -1]]

    def reach(query: int) -> int:
        away = np.abs(np.arange(count) - query)
        sees = (away <= np.arange(count)[:, None]) & seen[sample]
        tried = attend(np.full(count, query), np.where(sees, 0.0, LOWEST))[sample]
        apart = np.abs(tried.reshape(count, -1) - made[sample, query].reshape(-1)).max(-1)
        found = int(apart.argmin())
        return found if found < last - first else count - 1

    band = Band(reach(last), reach(first), count)
    return band.told(), np.minimum(band.mask(), np.where(seen[:, None, None], 0.0, LOWEST))


def _keeps(mask: np.ndarray) -> np.ndarray:
    return mask > LOWEST / 2


def _seen(mask: np.ndarray | None, batch: int, count: int) -> np.ndarray:
    """Which keys any query sees, of shape (batch, keys), under a mask of two axes, or of four with batch and heads."""
    if mask is None:
        return np.ones((batch, count), bool)
    keeps = _keeps(mask)
    return np.broadcast_to(keeps.any((1, 2) if keeps.ndim == 4 else 0), (batch, count))
