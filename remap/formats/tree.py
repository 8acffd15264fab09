"""What an unpickled or parsed checkpoint is made of before wrappers are peeled: leaves and inert objects.

A tree is nested dicts, lists and tuples of plain values whose leaves may be the kinds below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from remap.tensors.tensor import SkipCode, Storage

Tree = Any

_MANY = 1_000_000_000


class StorageRef:
    """A storage as a pickle speaks of it; the reader sets :attr:`storage` once it knows where the bytes lie.

    Args:
        key: Its name in the file.
        dtype: Element type that the pickle gives it, None for an unsupported one.
        dtype_name: The name of that type, for messages.
        numel: Elements that the pickle says it has.
        start: First element, where old files take a part of a storage for one.
    """

    __slots__ = ("dtype", "dtype_name", "key", "numel", "start", "storage")

    def __init__(self, key: str, dtype: np.dtype | None, dtype_name: str, numel: int, start: int = 0) -> None:
        self.key = key
        self.dtype = dtype
        self.dtype_name = dtype_name
        self.numel = numel
        self.start = start
        self.storage: Storage | None = None


class TensorView(NamedTuple):
    """A tensor as a pickle claims it to be: nothing of it is checked yet.

    ``size``, ``stride`` and ``offset`` count elements of ``dtype``, which is the storage's own where None.
    """

    ref: StorageRef
    offset: Any
    size: Any
    stride: Any
    dtype: np.dtype | None = None


class Refused(NamedTuple):
    """A tensor of a kind that has no plain array: sparse, nested, without data ..."""

    reason: str
    code: SkipCode | None = None


class Quantized(NamedTuple):
    """Integers with a scale: one number, or one a slice along ``axis``."""

    view: TensorView
    scale: Any
    zero_point: Any
    axis: int | None = None


class Global:
    """A class or function that a pickle names; nothing is imported and it can do nothing."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


@dataclass(slots=True, eq=False)
class Foreign:
    """An object that was not built: the name of what would have built it, with what it would have been given."""

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class NumpyArray(Foreign):
    """A numpy array of a pickle; the reader sets :attr:`found` to a tensor once the pickle is read."""

    found: TensorView | Refused | None = None


class Span(NamedTuple):
    """Bytes inside of a pickle, by position: they are not copied."""

    start: int
    stop: int


def describe(node: Tree) -> str:
    """What ``node`` is, in a few words, for the list of skipped entries.

    >>> describe({"a": 1})
    'dict of 1 entry'
    >>> describe(3)
    'number'
    """
    if isinstance(node, Refused):
        return node.reason
    if isinstance(node, TensorView | Quantized | NumpyArray):
        return "tensor"
    if isinstance(node, Foreign):
        return f"object {node.name}"
    if isinstance(node, Global):
        return f"name {node.name}"
    if isinstance(node, dict | list | tuple) and not isinstance(node, Span):
        return f"{type(node).__name__} of {len(node)} {'entry' if len(node) == 1 else 'entries'}"
    kinds = {bool: "flag", int: "number", float: "number", complex: "number", str: "text", Span: "bytes"}
    return kinds.get(type(node), "nothing" if node is None else type(node).__name__)


def children(node: Tree) -> list[Tree]:
    """The nodes directly below ``node``."""
    if isinstance(node, dict):
        return list(node.values())
    if isinstance(node, Foreign):
        return [*node.entries.values(), *node.args, node.state]
    if type(node) in (list, tuple):
        return list(node)
    return []


def is_leaf(node: Tree) -> bool:
    """Whether ``node`` is a tensor of some kind."""
    return isinstance(node, TensorView | Quantized | Refused | NumpyArray)


def is_readable(node: Tree) -> bool:
    """Whether ``node`` is a tensor whose numbers can be read.

    >>> is_readable(Refused("sparse tensor"))
    False
    """
    return isinstance(node, TensorView | NumpyArray)


class Census:
    """Counts the tensors in and below nodes of one tree, each node once; recursion in the tree ends the count there.

    Args:
        counted: Which leaves are counted.
    """

    def __init__(self, counted: Callable[[Tree], bool] = is_leaf) -> None:
        self._counts: dict[int, int] = {}
        self._counted = counted

    def __call__(self, node: Tree) -> int:
        """Number of tensors; what is shared counts at every place it is reached from."""
        counts = self._counts
        waiting = [(node, False)]
        while waiting:
            node, done = waiting.pop()
            if done:
                below = sum(
                    int(self._counted(child)) if is_leaf(child) else counts.get(id(child), 0)
                    for child in children(node)
                )
                counts[id(node)] = min(below, _MANY)
            elif isinstance(node, dict | list | tuple | Foreign) and not is_leaf(node) and id(node) not in counts:
                counts[id(node)] = 0
                waiting.append((node, True))
                waiting += [(child, False) for child in children(node) if isinstance(child, _CONTAINERS)]
        return int(self._counted(node)) if is_leaf(node) else counts.get(id(node), 0)


_CONTAINERS = (dict, list, tuple, Foreign)
