"""The difference of two weight files, of any formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from remap.diff.names import aligned
from remap.diff.tensors import Compared, compare_tensors
from remap.tensors.tensor import Tensor


@dataclass(frozen=True, slots=True)
class DiffEntry:
    """One name in both files.

    Args:
        name: It.
        shapes: Shapes in both.
        dtypes: Dtypes in both.
        compared: How the numbers differ; None where the shapes do.
    """

    name: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    dtypes: tuple[str, str]
    compared: Compared | None

    @property
    def verdict(self) -> str:
        """``equal``, ``dtype`` (the numbers are equal), ``values`` or ``shape``."""
        if self.compared is None:
            return "shape"
        if self.compared.equal < self.compared.elements:
            return "values"
        return "equal" if self.dtypes[0] == self.dtypes[1] else "dtype"


@dataclass(frozen=True, slots=True)
class FileDifference:
    """All of it: names in both, names in one."""

    entries: tuple[DiffEntry, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs at all."""
        return not (self.only_a or self.only_b) and all(entry.verdict == "equal" for entry in self.entries)


def difference(
    a: Mapping[str, Tensor], b: Mapping[str, Tensor], progress: Callable[[int], None] | None = None
) -> FileDifference:
    """Compare two sets of named tensors, one tile at a time.

    Args:
        a: One side.
        b: The other.
        progress: Called with the bytes compared.
    """
    both, only_a, only_b = aligned(a, b)
    entries = []
    for name, left, right in both:
        compared = compare_tensors(left, right) if left.shape == right.shape else None
        entries.append(DiffEntry(name, (left.shape, right.shape), (left.dtype.name, right.dtype.name), compared))
        if progress is not None:
            progress(left.nbytes)
    return FileDifference(tuple(entries), tuple(only_a), tuple(only_b))
