"""Numpy arrays inside of pickles: the state that ``ndarray.__reduce__`` leaves, turned into records.

Layout: https://numpy.org/doc/stable/reference/generated/numpy.ndarray.__setstate__.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from remap.formats.contents import stored
from remap.formats.tree import Foreign, NumpyArray, Refused, Span, TensorView
from remap.tensors.blob import Blob
from remap.tensors.tensor import ArrayStorage, Storage

_PLAIN = re.compile(r"(?:[iu][1248]|f[248]|b1|c8|c16)$")


def plain_dtype(code: str) -> np.dtype | None:
    """The dtype of a numpy type code without a byte order, None for one that is no plain number.

    >>> plain_dtype("f4").name
    'float32'
    """
    return np.dtype(code) if _PLAIN.match(code) else None


def resolve_arrays(arrays: Iterable[NumpyArray], blob: Blob) -> None:
    """Find the bytes of every array of a pickle that ``blob`` holds."""
    for array in arrays:
        array.found = _resolve(array.state, blob)


def _resolve(state: Any, blob: Blob) -> TensorView | Refused:
    if type(state) is not tuple or len(state) != 5 or type(state[1]) is not tuple:
        return Refused("numpy array without data")
    _, shape, dtype, fortran, data = state
    code, order = _dtype_code(dtype)
    kind = plain_dtype(code)
    if kind is None or order == ">":
        return Refused(f"numpy array of {'big-endian ' if order == '>' else ''}{code or 'objects'}")
    storage = _bytes(data, blob)
    if storage is None or not all(type(n) is int and n >= 0 for n in shape):
        return Refused("numpy array without data")
    view = stored(storage, kind, tuple(reversed(shape)) if fortran else shape)
    return view._replace(size=shape, stride=tuple(reversed(view.stride))) if fortran else view


def _dtype_code(dtype: Any) -> tuple[str, str]:
    if not isinstance(dtype, Foreign) or dtype.name != "numpy.dtype":
        return "", ""
    if not dtype.args or type(dtype.state) is not tuple:
        return "", ""
    code, order = dtype.args[0], dtype.state[1] if len(dtype.state) > 1 else ""
    return code if type(code) is str else "", order if type(order) is str else ""


def _bytes(data: Any, blob: Blob) -> Storage | None:
    if type(data) is Span:
        return blob.storage(data.start, data.stop - data.start)
    content = decoded(data)
    return None if content is None else ArrayStorage(np.frombuffer(content, np.uint8), f"an array in {blob.name}")


def decoded(data: Any) -> bytes | None:
    """Bytes that a pickle of Python 2 has as text, or one of protocol 2 as the encoding of a text."""
    if isinstance(data, Foreign) and data.name == "_codecs.encode" and data.args:
        data = data.args[0]
    try:
        return data.encode("latin-1") if type(data) is str else None
    except UnicodeEncodeError:
        return None
