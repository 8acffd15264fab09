"""Tensor element types by their usual names (``float32``, ``bfloat16``, ``float8_e4m3fn`` ...)."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from remap.errors import UsageError

_EXTENDED = {
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}

FLOATS = ("float16", "float32", "float64", *_EXTENDED)

NAMES = (
    *FLOATS,
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "complex64",
    "complex128",
)


def dtype_of(name: str) -> np.dtype:
    """The little-endian numpy dtype called ``name``.

    Raises:
        UsageError: ``name`` is none of :data:`NAMES`.

    >>> dtype_of("bfloat16").itemsize
    2
    """
    if name not in NAMES:
        raise UsageError(f"unknown dtype {name!r}", expected=", ".join(NAMES))
    dtype: np.dtype = np.dtype(_EXTENDED.get(name, name))
    return dtype


def is_float(dtype: np.dtype) -> bool:
    """Whether ``dtype`` holds real floating-point numbers, the extended ones included."""
    return str(dtype.name) in FLOATS


def working_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype in which arithmetic on ``dtype`` is done: float32 for the narrow floats.

    >>> working_dtype(dtype_of("bfloat16")).name
    'float32'
    """
    narrow = is_float(dtype) and dtype.itemsize < 4
    return np.dtype(np.float32) if narrow else dtype


def numpy_file_dtype(dtype: np.dtype) -> np.dtype:
    """What numpy's own files hold numbers of ``dtype`` as, which know no bfloat16 and no float8.

    Those are held by their bits, as a single field with their name, so that ``array.view(name)`` has them back.

    >>> numpy_file_dtype(dtype_of("bfloat16"))
    dtype([('bfloat16', '<u2')])
    """
    return np.dtype([(dtype.name, f"<u{dtype.itemsize}")]) if dtype.name in _EXTENDED else dtype


def from_numpy_file(array: np.ndarray) -> np.ndarray:
    """An array of numpy's own files, its numbers of the type that the name of its only field tells.

    >>> from_numpy_file(np.ones(2, "u2").view([("bfloat16", "<u2")])).dtype.name
    'bfloat16'
    """
    names = array.dtype.names or ()
    return array.view(dtype_of(names[0])) if len(names) == 1 and names[0] in _EXTENDED else array
