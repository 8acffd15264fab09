"""Numpy archives: ``.npz``, a zip archive with one ``.npy`` file an array, stored or deflated.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import io
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from remap.errors import CheckpointError
from remap.formats.containers.stored_zip import StoredZip
from remap.formats.containers.zipdir import DEFLATED, MAX_RATIO, STORED, Inflate, ZipEntry, damaged, locate
from remap.formats.contents import Contents, stored
from remap.formats.format import Format, FormatOptions, ReadBack, Restorer, quoted
from remap.formats.load_lines import assign_line
from remap.formats.pickles.numpy_pickle import plain_dtype
from remap.formats.sheet import FixedBytes, Region, Sheet, SheetFile
from remap.formats.tree import Refused, TensorView, Tree
from remap.formats.unread import Unread
from remap.tensors.blob import Blob
from remap.tensors.dtypes import dtype_of, from_numpy_file, numpy_file_dtype
from remap.tensors.tensor import Storage

if TYPE_CHECKING:
    from remap.planning.plan import Plan

MAGIC = b"\x93NUMPY"
MAX_HEADER = 10_000
SUFFIX = ".npy"
TYPED = """import ml_dtypes

def typed(array):  # numpy has no bfloat16 or float8: the one field's name says what its bits are
    return array.view(array.dtype.names[0]) if array.dtype.names else array

"""


class Npz(Format):
    """A zip archive of ``.npy`` files, one a tensor or a variable, by Keras path; bfloat16 and float8 by their bits."""

    name = "npz"
    title = "npz"
    suffixes = (".npz",)

    def recognise(self, file: Unread) -> bool:
        return bool(file.entries) and all(name.endswith(SUFFIX) for name in file.entries)

    def read(self, file: Unread) -> Contents:
        """The contents; a deflated array is inflated, piece by piece, when it is read.

        Raises:
            CheckpointError: The archive is damaged.
        """
        tree = {name[: -len(SUFFIX)]: _array(file.blob, name, entry) for name, entry in file.entries.items()}
        return Contents(self.title, tree)

    def lay_out(self, plan: Plan, out: Path, options: FormatOptions) -> Sheet:
        """One file (:func:`remap.tensors.dtypes.numpy_file_dtype` says what bfloat16 and float8 are in it)."""
        archive = StoredZip()
        regions, fixed = [], []
        for assignment in plan.assignments:
            header = _npy_header(assignment.shape, numpy_file_dtype(assignment.dtype))
            start = archive.add(f"{assignment.name}{SUFFIX}", len(header) + assignment.nbytes).start
            fixed.append(FixedBytes(start, header))
            regions.append(Region(assignment, start + len(header), assignment.dtype))
        return Sheet((SheetFile(out, archive.size, tuple(regions), tuple(fixed), archive.closing()),))

    def load_lines(self, plan: Plan, out: Path, options: FormatOptions) -> str:
        """The lines that load what was written; where it has bfloat16 or float8, they read its bits as such."""
        plain = all(each.dtype == numpy_file_dtype(each.dtype) for each in plan.assignments)
        imports, lookup = ("", "weights[{}]") if plain else (TYPED, "typed(weights[{}])")
        return f"import numpy as np\n{imports}weights = np.load({quoted(out)})\n" + assign_line(lookup, plan)

    def read_back(self, plan: Plan, path: Path, restorer: Restorer) -> Mapping[str, Any]:
        archive = np.load(path)
        return ReadBack(archive.files, lambda name: from_numpy_file(archive[name]))


NPZ = Npz()


def _npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    buffer = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()


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
        storage = Inflate(blob, name, entry, length).storage()
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
    return next((dtype for dtype in _BITS if numpy_file_dtype(dtype).descr == descr), None)


_BITS = tuple(map(dtype_of, ("bfloat16", "float8_e4m3fn", "float8_e5m2")))
_OPAQUE = {"<V2": _BITS[0], "|V2": _BITS[0], "<f1": _BITS[2]}
"""As numpy itself saves arrays of ml_dtypes; ``V1`` is several of them, so it is refused."""
