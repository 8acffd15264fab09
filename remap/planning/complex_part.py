"""Complex tensors as the real numbers that they lie in memory as: one part, or both along a last axis."""

from __future__ import annotations

import numpy as np

from remap.layout.axes import AxesError
from remap.layout.expression import ComplexPart
from remap.layout.tiles import Source
from remap.tensors.tensor import Tensor


def part_of(source: Source, part: ComplexPart) -> Tensor:
    """Real numbers of a complex tensor, a view: nothing is copied.

    Args:
        source: A complex tensor of a checkpoint.
        part: ``real`` or ``imag``, of the tensor's shape, or ``axis``: both, along a new last axis of size 2.

    Raises:
        AxesError: The tensor is not complex, or is computed.

    >>> from remap.planning.batchnorm import constant_source
    >>> made = constant_source("w", np.array([1 + 2j, 3 + 4j], "c8"), np.dtype("c8"))
    >>> part_of(made, "imag").array().tolist(), part_of(made, "axis").array().tolist()
    ([2.0, 4.0], [[1.0, 2.0], [3.0, 4.0]])
    """
    if source.dtype.kind != "c" or not isinstance(source, Tensor):
        raise AxesError(
            f"complex = {part!r} is for a complex tensor of the checkpoint; {source.name} is {source.dtype}"
        )
    shape, strides = source.shape, tuple(2 * step for step in source.strides)
    dtype = np.dtype(f"f{source.dtype.itemsize // 2}")
    offset = 2 * source.offset + (part == "imag")
    if part == "axis":
        shape, strides = (*shape, 2), (*strides, 1)
    return Tensor(source.name, shape, dtype, strides, source.storage, offset)
