"""What a network did with one input: every call in order, and the arrays that went in and out."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np

from remap.sides.operation import Operation

CallOrName = TypeVar("CallOrName", int, str)


@dataclass(slots=True)
class Call:
    """One call of a module, layer or function.

    Args:
        name: Path of the module or layer; empty for a function.
        kind: Class or function: ``Conv2d``, ``gelu``, ``MaxPooling2D``.
        settings: What its operation is set to, in the vocabulary of both sides (:mod:`remap.sides.operation`).
        inputs: Positions of the tensors that went in, in :attr:`Trace.values`.
        outputs: Positions of those that came out.
        parent: Position of the call that it is part of, in :attr:`Trace.calls`.
        function: Whether it is one of a function, which has no path.
        operation: What it computes.
        told: What the framework itself says that it depends on, in the framework's own words.
        keywords: What it was asked for by name, as far as that is yes or no; not whether it is trained.
    """

    name: str
    kind: str
    settings: dict[str, Any]
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    parent: int | None = None
    function: bool = False
    operation: Operation = Operation.OTHER
    told: dict[str, Any] = field(default_factory=dict)
    keywords: dict[str, bool] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """What it computes, as messages call it: the function that a PyTorch module stands for, else the class."""
        return str(self.told.get("kind", self.kind))

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"{self.name} ({self.kind})" if self.name else self.kind


@dataclass
class Trace:
    """Calls in the order in which they began, and all their arrays.

    Args:
        calls: The calls.
        values: The arrays, each as it was when it was made.
        outputs: The network's outputs: name and position in ``values``.
        noise: Largest rounding error of a value, by position, where it was measured.
        untraced: What could not be looked into, and why.
    """

    calls: list[Call] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    outputs: list[tuple[str, int]] = field(default_factory=list)
    noise: dict[int, float] = field(default_factory=dict)
    untraced: dict[str, str] = field(default_factory=dict)

    @cached_property
    def inside(self) -> dict[int, list[int]]:
        """Call to the calls directly inside of it, where there are any."""
        return _grouped((call.parent, index) for index, call in enumerate(self.calls) if call.parent is not None)

    @cached_property
    def takers(self) -> dict[int, list[int]]:
        """Value to the calls that it goes into."""
        return _grouped((value, index) for index, call in enumerate(self.calls) for value in dict.fromkeys(call.inputs))

    @cached_property
    def depths(self) -> list[int]:
        """For each call, and for the end: how many modules were called before, none counted for what it holds."""
        modules = (bool(call.name) and index not in self.inside for index, call in enumerate(self.calls))
        return list(accumulate(modules, initial=0))

    @cached_property
    def ends(self) -> list[int]:
        """For each call the last one inside of it; itself where there is none."""
        ends = list(range(len(self.calls)))
        for index in reversed(ends.copy()):
            parent = self.calls[index].parent
            if parent is not None:
                ends[parent] = max(ends[parent], ends[index])
        return ends

    @cached_property
    def producers(self) -> dict[int, int]:
        """Value to the innermost call that made it."""
        return {
            value: index
            for index, call in enumerate(self.calls)
            if index not in self.inside
            for value in call.outputs
            if value not in call.inputs
        }

    @cached_property
    def by_name(self) -> dict[str, list[int]]:
        """Path to the calls of the module or layer."""
        return _grouped((call.name, index) for index, call in enumerate(self.calls) if not call.function)

    def between(self, starts: Iterable[int], ends: Iterable[int]) -> list[int]:
        """The calls that lead to any of the values ``ends`` from any of ``starts``, which are given, in order."""
        between: set[int] = set()
        waiting, seen = list(ends), set(starts)
        while waiting:
            value = waiting.pop()
            if value in seen:
                continue
            seen.add(value)
            made_by = self.producers.get(value)
            if made_by is not None:
                between.add(made_by)
                waiting += self.calls[made_by].inputs
        return sorted(between)


def _grouped(pairs: Iterable[tuple[CallOrName, int]]) -> dict[CallOrName, list[int]]:
    """All positions of each key, in order."""
    grouped: dict[CallOrName, list[int]] = {}
    for key, position in pairs:
        grouped.setdefault(key, []).append(position)
    return grouped


class Recorder:
    """Collects a trace while a network runs; the frameworks' hooks call it.

    Args:
        to_numpy: A copy of a framework's tensor; None for one that has no value.
        is_tensor: Whether an object is one.
        version: A number that changes when a tensor is written in place.
    """

    def __init__(self, to_numpy: Any, is_tensor: Any, version: Any = lambda tensor: 0) -> None:
        self.trace = Trace()
        self._to_numpy = to_numpy
        self._is_tensor = is_tensor
        self._version = version
        self._known: dict[int, tuple[int, int, Callable[[], Any]]] = {}
        self._open: list[int] = []

    def begin(self, call: Call, inputs: Any) -> int:
        """Note that a call begins; returns its position."""
        call.inputs = self.note_all(inputs)
        call.parent = self._open[-1] if self._open else None
        self.trace.calls.append(call)
        self._open.append(len(self.trace.calls) - 1)
        return self._open[-1]

    def end(self, index: int, outputs: Any) -> None:
        """Note what a call gave."""
        del self._open[self._open.index(index) :]
        self.trace.calls[index].outputs = self.note_all(outputs)

    def note_all(self, values: Any) -> list[int]:
        """Positions of all tensors in a nest of tuples, lists and dicts."""
        positions = (self.note(tensor) for _, tensor in flatten(values, self._is_tensor))
        return [position for position in positions if position is not None]

    def note(self, tensor: Any) -> int | None:
        """Position of a tensor's present value; it is copied when it is new or was written in place."""
        version = self._version(tensor)
        known = self._known.get(id(tensor))
        if known is not None and known[1] == version and known[2]() is tensor:
            return known[0]
        array = self._to_numpy(tensor)
        if array is None:
            return None
        position = self.keep(array)
        self._known[id(tensor)] = (position, version, _reference(tensor))
        return position

    def keep(self, array: np.ndarray) -> int:
        """Store a value; returns its position."""
        self.trace.values.append(array)
        return len(self.trace.values) - 1


def _reference(tensor: Any) -> Callable[[], Any]:
    """A way to the tensor that does not keep it alive, where it has one: a number of its own may be used again."""
    try:
        return weakref.ref(tensor)
    except TypeError:
        return lambda: tensor


def flatten(values: Any, is_tensor: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The tensors in a nest of tuples, lists, dicts and dataclasses, with their names, depth first.

    >>> list(flatten({"a": 1, "b": (2, None)}, lambda value: isinstance(value, int)))
    [('a', 1), ('b.0', 2)]
    """
    if is_tensor(values):
        yield name, values
        return
    if isinstance(values, dict) or hasattr(values, "keys"):
        items = [(str(key), values[key]) for key in values.keys()]  # noqa: SIM118
    elif isinstance(values, list | tuple):
        keys = getattr(values, "_fields", range(len(values)))
        items = [(str(key), value) for key, value in zip(keys, values, strict=True)]
    elif hasattr(values, "__dataclass_fields__"):
        items = [(key, getattr(values, key)) for key in values.__dataclass_fields__]
    else:
        return
    for key, value in items:
        yield from flatten(value, is_tensor, f"{name}.{key}" if name else key)
