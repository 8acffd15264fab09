"""``.safetensors`` files: eight bytes of header length, a JSON header, then the tensors' bytes.

Format: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remap.errors import CheckpointError, Problem, UsageError
from remap.formats.containers import json_unique
from remap.formats.contents import MAX_RANK, Contents, stored, tensors_of
from remap.formats.format import Format, FormatOptions, ReadBack, Restorer, quoted
from remap.formats.load_lines import assign_line, has_float8
from remap.formats.sheet import FixedBytes, Region, Sheet, SheetFile
from remap.formats.tree import Refused, Tree
from remap.formats.unread import Unread
from remap.tensors.blob import Blob, FileBlob
from remap.tensors.dtypes import dtype_of

if TYPE_CHECKING:
    from remap.planning.plan import Plan

MAX_HEADER = 100_000_000

_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "C64": "complex64",
    "C128": "complex128",
}
_DTYPES = {code: dtype_of(name) for code, name in _NAMES.items()}
WRITTEN = {name: code for code, name in _NAMES.items() if not name.startswith("complex")}
"""Element types that every reader of the format knows, as it calls them."""
ALIGNMENT = 8


class Safetensors(Format):
    """One file, its header in front; written, Keras paths are the names."""

    name = "safetensors"
    title = "safetensors"
    suffixes = (".safetensors",)

    def recognise(self, file: Unread) -> bool:
        return looks_like(file.head)

    def read(self, file: Unread) -> Contents:
        return read(file.blob)

    def lay_out(self, plan: Plan, out: Path, options: FormatOptions) -> Sheet:
        """One file.

        Raises:
            UsageError: The format has no such element type.
        """
        assignments = sorted(plan.assignments, key=lambda each: -each.dtype.itemsize)  # all of them aligned
        problems = [
            Problem("safetensors has no such element type", where=each.name, found=each.dtype.name)
            for each in assignments
            if each.dtype.name not in WRITTEN
        ]
        if problems:
            raise UsageError(problems)
        header: dict[str, object] = {"__metadata__": {"format": "np"}}
        offset = 0
        for each in assignments:
            span = [offset, offset + each.nbytes]
            header[each.name] = {"dtype": WRITTEN[each.dtype.name], "shape": each.shape, "data_offsets": span}
            offset += each.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % ALIGNMENT)
        front = len(text).to_bytes(8, "little") + text
        starts = accumulate((each.nbytes for each in assignments), initial=len(front))
        regions = tuple(Region(each, start, each.dtype) for each, start in zip(assignments, starts, strict=False))
        return Sheet((SheetFile(out, len(front) + offset, regions, (FixedBytes(0, front),)),))

    def load_lines(self, plan: Plan, out: Path, options: FormatOptions) -> str:
        """The lines that load what was written: by remap where float8 is, of which safetensors (0.8) has no numpy."""
        if has_float8(plan):
            load = f"import remap\nfile = remap.open_checkpoint({quoted(out)})\n"
            return load + assign_line("file[{}].array()", plan)
        load = f"from safetensors.numpy import load_file\nweights = load_file({quoted(out)})\n"
        return load + assign_line("weights[{}]", plan)

    def read_back(self, plan: Plan, path: Path, restorer: Restorer) -> Mapping[str, Any]:
        if has_float8(plan):  # safetensors' numpy side has none
            records = tensors_of(read(FileBlob(path)))
            return ReadBack(records, lambda name: records[name].array())
        from safetensors import safe_open

        file: Any = safe_open(str(path), framework="np")
        return ReadBack(file.keys(), file.get_tensor)


SAFETENSORS = Safetensors()


def looks_like(head: bytes) -> bool:
    """Whether a file that starts with these bytes can only be a safetensors file.

    >>> looks_like(bytes([2, 0, 0, 0, 0, 0, 0, 0]) + b"{}")
    True
    """
    return len(head) > 8 and int.from_bytes(head[:8], "little") < 1 << 40 and head[8:9] == b"{"


def read(blob: Blob) -> Contents:
    """The contents of a safetensors file.

    Raises:
        CheckpointError: The header is damaged or contradicts the file.
    """
    length = int.from_bytes(blob.read(0, 8), "little")
    if length > MAX_HEADER or 8 + length > blob.size:
        raise CheckpointError(
            "safetensors header is longer than the file or than any real one",
            where=blob.name,
            found=f"a header of {length} bytes in a file of {blob.size}",
            expected=f"at most {min(MAX_HEADER, blob.size - 8)} bytes",
            fix="the file is truncated or damaged: fetch it again",
        )
    header = _parse(blob, blob.read(8, length))
    header.pop("__metadata__", None)
    start, room = 8 + length, blob.size - 8 - length
    problems: list[Problem] = []
    tree: Tree = {}
    spans = []
    for name, info in header.items():
        node = _entry(blob, name, info, start, room)
        if isinstance(node, Problem):
            problems.append(node)
        else:
            tree[name] = node
            spans.append((*info["data_offsets"], name))
    problems += _layout_problems(blob, spans, room) if not problems else []
    if problems:
        raise CheckpointError(problems)
    return Contents("safetensors", tree)


def _parse(blob: Blob, text: bytes) -> dict[str, Any]:
    try:
        header = json_unique.decode(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError("damaged safetensors header", where=blob.name, found=str(error)) from error
    if type(header) is not dict:
        raise CheckpointError("damaged safetensors header", where=blob.name, expected="a JSON object")
    return header


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _entry(blob: Blob, name: str, info: Any, start: int, room: int) -> Any:
    where = f"{name!r:.200} in {blob.name}"
    try:
        code, shape, (first, last) = info["dtype"], info["shape"], info["data_offsets"]
    except (TypeError, KeyError, ValueError):
        return Problem("damaged safetensors entry", where=where, expected="dtype, shape and data_offsets")
    if type(shape) is not list or len(shape) > MAX_RANK or not all(map(_is_count, (*shape, first, last))):
        return Problem("damaged safetensors entry", where=where, found=f"shape {shape!r:.200}", expected="counts")
    if not first <= last <= room:
        return Problem(
            "tensor lies outside of the file",
            where=where,
            found=f"bytes {first}..{last} of {room}",
            fix="the file is truncated or damaged: fetch it again",
        )
    dtype = _DTYPES.get(code) if type(code) is str else None
    if dtype is None:
        return Refused(f"tensor of safetensors type {code!r:.40}, which is not supported")
    if prod(shape) * dtype.itemsize != last - first:
        return Problem(
            "tensor's shape does not fit its bytes",
            where=where,
            found=f"{last - first} bytes",
            expected=f"{prod(shape)} elements of {dtype.itemsize} bytes",
        )
    return stored(blob.storage(start + first, last - first), dtype, tuple(shape), name)


def _layout_problems(blob: Blob, spans: list[tuple[int, int, str]], room: int) -> list[Problem]:
    """The format wants the tensors to tile the file: no byte is in two, none is in none."""
    problems = []
    end = 0
    for first, last, name in sorted(spans):
        if first != end:
            what = "tensors overlap" if first < end else "bytes that belong to no tensor"
            problems.append(Problem(what, where=f"{name!r:.200} in {blob.name}", found=f"{first}", expected=f"{end}"))
        end = max(end, last)
    if end != room:
        problems.append(
            Problem("bytes behind the last tensor", where=blob.name, found=f"{room} bytes", expected=f"{end} bytes")
        )
    return problems
