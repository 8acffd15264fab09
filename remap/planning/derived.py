"""Tensors that are computed from others, when they are first read.

How is said by data, an operation's name and its settings, so that a plan can be handed to another process; the result
and the lock that guards it stay in the process that made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from threading import Lock
from typing import Any, Protocol

import numpy as np

from remap.layout.tiles import Source
from remap.tensors.dtypes import is_float
from remap.tensors.tensor import dense_strides


class Computation(Protocol):
    """How a tensor is made from others: data that can be pickled."""

    def compute(self, arrays: list[np.ndarray]) -> np.ndarray:
        """The result from the inputs as arrays, floats widened to float64."""
        ...


class Derived:
    """A dense tensor computed from others; it can be read wherever a checkpoint's tensor can.

    Args:
        name: What it is called in messages.
        shape: Its shape.
        dtype: Its dtype; the computation itself sees float64.
        inputs: What it is computed from.
        computation: Makes the result.
    """

    offset = 0

    def __init__(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype, inputs: Sequence[Source], computation: Computation
    ) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.inputs = tuple(inputs)
        self.strides = dense_strides(shape)
        self.nbytes = prod(shape) * dtype.itemsize
        self.place = f"derived from {', '.join(source.name for source in inputs)}"
        self.computation = computation
        self._array: np.ndarray | None = None
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Derived, (self.name, self.shape, self.dtype, self.inputs, self.computation)

    @property
    def storage(self) -> Derived:
        """Its own bytes: it is its storage."""
        return self

    def array(self) -> np.ndarray:
        """The result, C-ordered."""
        with self._lock:
            if self._array is None:
                arrays = [_wide(source.array()) for source in self.inputs]
                result = self.computation.compute(arrays).astype(self.dtype)
                self._array = np.ascontiguousarray(result).reshape(self.shape)
            return self._array

    def map(self) -> np.ndarray:
        """The bytes of the result."""
        return self.array().reshape(-1).view(np.uint8)

    def drop_pages(self) -> None:
        """There are none."""

    def release(self) -> None:
        """Forget the result; it is computed again when read again."""
        with self._lock:
            self._array = None
        for source in self.inputs:
            source.storage.release()


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if is_float(array.dtype) else array


def leaves(source: Source) -> list[Source]:
    """The checkpoint tensors that a source comes from in the end."""
    if not isinstance(source, Derived):
        return [source]
    return [leaf for each in source.inputs for leaf in leaves(each)]
