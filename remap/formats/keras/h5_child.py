"""The process in which the HDF5 library reads files that nobody vouches for: damaged ones crash it or eat all memory.

It is a program of its own that imports nothing of remap, and is spoken to by its standard input and output in frames:
a letter, the length, the bytes. Each command is run by a fork, with limits of memory and processor time. It asks for
the bytes of the file (``R``), gives those of a dataset piece by piece (``P``), and ends with what it found (``J``).
Where the library crashes, this process ends too, with a number that tells the signal.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
from collections import OrderedDict
from collections.abc import Iterator
from math import prod
from typing import Any

import h5py
import numpy as np

try:
    import resource
except ImportError:  # a system without limits
    resource = None  # type: ignore[assignment]

HEADER = struct.Struct("<cQ")
RANGE = struct.Struct("<QQ")
ASK, PIECE, RESULT, DATA, REFUSED = b"R", b"P", b"J", b"D", b"F"
CRASHED = 100
"""Exit code of a crash, the signal's number added."""
BLOCK, KEPT = 64 << 10, 256
"""Bytes that are asked for at a time, and how many such blocks are remembered."""
MAX_NAMES = 100_000_000
"""Characters of all names: groups in groups repeat theirs."""
FAILURES = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, SystemError)
"""What h5py raises for damaged files."""


class NotOwnError(Exception):
    """A file that leads to others."""


def receive() -> tuple[bytes, bytes]:
    """The next frame: its letter and bytes.

    Raises:
        EOFError: The other side is gone.
    """
    kind, length = HEADER.unpack(_exactly(HEADER.size))
    return kind, _exactly(length)


def send(kind: bytes, data: Any) -> None:
    """Send a frame."""
    view = memoryview(data).cast("B")
    for part in (memoryview(HEADER.pack(kind, len(view))), view):
        while part:
            part = part[os.write(1, part) :]


def _exactly(length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = os.read(0, min(length - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


class Asked(io.RawIOBase):
    """The file, whose bytes the other side has."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view) and self._at < self._size:
            number, skip = divmod(self._at, BLOCK)
            part = self._block(number)[skip : skip + len(view) - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        return done

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * BLOCK
            send(ASK, RANGE.pack(start, min(BLOCK, self._size - start)))
            kind, data = receive()
            if kind != DATA:
                raise OSError("the file cannot be read")
            self._blocks[number] = data
            if len(self._blocks) > KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]


def listing(file: Any) -> dict[str, Any]:
    """All datasets by each of their paths: Keras's files have one under several where layers share a variable."""
    links: list[tuple[str, Any]] = []
    length = 0

    def visit(name: str, link: Any) -> None:
        nonlocal length
        length += len(name)
        if length > MAX_NAMES:
            raise ValueError("names are nested without end")
        links.append((name, link))

    file.visititems_links(visit)
    datasets = []
    for name, link in links:
        if not isinstance(link, h5py.HardLink):
            target = f"a {type(link).__name__} to {getattr(link, 'filename', '')} {link.path}"
            raise NotOwnError("the HDF5 file leads to another place", name, target)
        item = file[name]
        if isinstance(item, h5py.Dataset):
            datasets.append(_described(name, item))
    groups = [file, *([file["model_weights"]] if "model_weights" in file else [])]
    attributes = {attribute.rstrip("0123456789") for group in groups for attribute in group.attrs}
    return {"datasets": datasets, "legacy": "layer_names" in attributes}


def _described(name: str, dataset: Any) -> dict[str, Any]:
    if dataset.external or dataset.is_virtual:
        raise NotOwnError("a dataset's bytes lie in another file", name, "")
    named = dataset.attrs.get("dtype")
    shape = dataset.shape
    kind = dataset.dtype
    return {
        "name": name,
        "shape": None if shape is None else list(shape),
        "dtype": kind.newbyteorder("<").name,
        "shown": str(kind),
        "itemsize": kind.itemsize,
        "named": named if isinstance(named, str) else None,
        "big": kind.byteorder == ">",
        "plain": _is_plain(dataset, kind),
        "offset": dataset.id.get_offset(),
        "stored": dataset.id.get_storage_size(),
        "chunk": prod(dataset.chunks or (0,)),
    }


def _is_plain(dataset: Any, kind: Any) -> bool:
    """Whether numbers lie in the file bit for bit as numpy has them, which a damaged description of them denies."""
    if kind.kind not in "fiucb":
        return True
    return bool(dataset.id.get_type().equal(h5py.h5t.py_create(kind, logical=True)))


def contents(dataset: Any, nbytes: int) -> Iterator[Any]:
    """The numbers of a dataset, little-endian, in pieces of so many bytes or little less."""
    for piece in pieces(dataset.shape, dataset.dtype.itemsize, nbytes):
        yield np.ascontiguousarray(dataset[piece], dataset.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data


def pieces(shape: tuple[int, ...], itemsize: int, nbytes: int) -> Iterator[tuple[int | slice, ...]]:
    """Indexes of parts of an array that lie one behind the other, of ``nbytes`` each or little less."""
    axis = next((axis for axis in range(len(shape)) if prod(shape[axis + 1 :]) * itemsize <= nbytes), None)
    if axis is None:  # a single number
        yield ()
        return
    step = max(nbytes // max(prod(shape[axis + 1 :]) * itemsize, 1), 1)
    for outer in np.ndindex(shape[:axis]):
        for at in range(0, shape[axis], step):
            yield (*outer, slice(at, at + step))


def answer(command: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked; what was found, or why not."""
    try:
        with h5py.File(Asked(command["size"]), "r") as file:
            if command["dataset"] is None:
                return listing(file)
            for data in contents(file[command["dataset"]], command["piece"]):
                send(PIECE, data)
            return {}
    except NotOwnError as error:
        what, name, target = error.args
        return {"leads": what, "name": name, "target": target}
    except FAILURES as error:
        return {"failed": _reason(error)}


def _reason(error: BaseException) -> str:
    """What went wrong in the library; the interpreter may speak of what came of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def limit(memory: int, seconds: int) -> None:
    """Let this process take so much more memory, and so much time of a processor."""
    if resource is None:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123 - pathlib is not needed for anything else here
            used = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))


def run(command: dict[str, Any]) -> None:
    """Answer one command, in a process of its own where the system has such."""
    if not hasattr(os, "fork"):
        send(RESULT, json.dumps(answer(command)).encode())
        return
    child = os.fork()
    if not child:
        try:
            limit(command["memory"], command["seconds"])
            send(RESULT, json.dumps(answer(command)).encode())
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(CRASHED + (os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0))


def main() -> None:
    """Answer commands until the other side is gone."""
    while True:
        try:
            _, text = receive()
        except EOFError:
            return
        run(json.loads(text))


if __name__ == "__main__":
    main()
