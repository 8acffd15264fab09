"""Numpy archives: ``.npz``, a zip archive with one ``.npy`` file an array, stored or deflated.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import zlib
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from remap.errors import CheckpointError
from remap.formats.containers.zipdir import DEFLATED, MAX_RATIO, STORED, ZipEntry, damaged, inflated, locate
from remap.formats.contents import Contents, stored
from remap.formats.pickles.numpy_pickle import plain_dtype
from remap.formats.tree import Refused, TensorView, Tree
from remap.tensors.blob import Blob
from remap.tensors.computed import ComputedStorage, Write
from remap.tensors.dtypes import dtype_of, numpy_file_dtype
from remap.tensors.tensor import Storage

MAGIC = b"\x93NUMPY"
MAX_HEADER = 10_000
SUFFIX = ".npy"


def looks_like(entries: dict[str, ZipEntry]) -> bool:
    """Whether an archive holds arrays and nothing else."""
    return bool(entries) and all(name.endswith(SUFFIX) for name in entries)


def read(blob: Blob, entries: dict[str, ZipEntry]) -> Contents:
    """The contents of an ``.npz`` file; a deflated array is inflated, piece by piece, when it is read.

    Raises:
        CheckpointError: It is damaged.
    """
    return Contents("npz", {name[: -len(SUFFIX)]: _array(blob, name, entry) for name, entry in entries.items()})


def _array(blob: Blob, name: str, entry: ZipEntry) -> Tree:
    if entry.encrypted or entry.method not in (STORED, DEFLATED) or entry.nbytes > MAX_RATIO * (entry.packed + 1):
        raise damaged(blob, f"entry {name!r} is packed in a way that no .npz is")
    start = locate(blob, name, entry)
    head = blob.read(start, min(entry.packed, MAX_HEADER))
    if entry.method == DEFLATED:
        try:
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, MAX_HEADER)
        except zlib.error as error:
            raise damaged(blob, f"entry {name!r} cannot be inflated ({error})") from error
    header, length = _header(blob, name, head)
    return _view(blob, name, entry, header, start, length)


def _header(blob: Blob, name: str, head: bytes) -> tuple[dict[str, Any], int]:
    width = 2 if head[6:7] == b"\x01" else 4
    length = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
    try:
        header = ast.literal_eval(head[8 + width : length].decode("utf-8").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise damaged(blob, f"{name!r} has no readable array header") from error
    if head[:6] != MAGIC or len(head) < length or type(header) is not dict or set(header) != _FIELDS:
        raise damaged(blob, f"{name!r} has no array header")
    return header, length


_FIELDS = {"descr", "fortran_order", "shape"}


def _view(blob: Blob, name: str, entry: ZipEntry, header: dict[str, Any], start: int, length: int) -> Tree:
    descr, shape = header["descr"], header["shape"]
    dtype = _dtype(descr)
    if dtype is None:
        return Refused(f"numpy array of {descr!r:.80}")
    if type(shape) is not tuple or not all(type(n) is int and 0 <= n < 1 << 63 for n in shape):
        raise damaged(blob, f"{name!r} has the shape {shape!r:.80}")
    nbytes = entry.nbytes - length
    storage: Storage
    if entry.method == STORED:
        storage = blob.storage(start + length, nbytes)
    else:
        storage = ComputedStorage(nbytes, f"{name} in {blob.name}", _inflater(blob, name, entry, length))
    view: TensorView = stored(storage, dtype, tuple(reversed(shape)) if header["fortran_order"] else shape, name)
    if prod(shape) * dtype.itemsize != nbytes:
        raise CheckpointError(
            "array's shape does not fit its bytes",
            where=f"{name} in {blob.name}",
            found=f"shape {shape!r:.200} of {dtype.name} in {nbytes} bytes",
        )
    return view._replace(size=shape, stride=tuple(reversed(view.stride))) if header["fortran_order"] else view


def _dtype(descr: Any) -> np.dtype | None:
    """The element type that a header names, None for one that is no plain number."""
    if type(descr) is str:
        return _OPAQUE.get(descr) or (None if descr[:1] == ">" else plain_dtype(descr[1:]))
    return next((found for found in _BITS if numpy_file_dtype(found).descr == descr), None)


_BITS = tuple(map(dtype_of, ("bfloat16", "float8_e4m3fn", "float8_e5m2")))
_OPAQUE = {"<V2": _BITS[0], "|V2": _BITS[0], "<f1": _BITS[2]}
"""As numpy itself saves arrays of ml_dtypes; ``V1`` is several of them, so it is refused."""


def _inflater(blob: Blob, name: str, entry: ZipEntry, skip: int) -> Callable[[Write], None]:
    def make(write: Write) -> None:
        at = -skip
        for piece in inflated(blob, name, entry):
            if at + len(piece) > 0:
                write(max(at, 0), memoryview(piece)[max(-at, 0) :])
            at += len(piece)

    return make
