"""What a reader of one format hands on: a tree whose leaves know their bytes, and the tensors it turns into."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from remap.errors import CheckpointError, Problem
from remap.formats.tree import StorageRef, TensorView, Tree
from remap.tensors.tensor import Skipped, Storage, Tensor, dense_strides

MAX_RANK = 32
MAX_EXPANSION = 1 << 32


@dataclass(frozen=True, slots=True)
class Contents:
    """One opened file, wrappers still on.

    Args:
        format: What it is, for people.
        tree: Nested dicts; leaves as in :mod:`remap.formats.tree`. Of the target side, tensors by name.
        skipped: What the reader itself passed over.
        peeled: Wrappers that the reader itself took off, and modules that it joined.
        kind: Name of its format, where one reader reads several; of the format that has read it if empty.
    """

    format: str
    tree: Tree
    skipped: tuple[Skipped, ...] = ()
    peeled: tuple[str, ...] = ()
    kind: str = ""


def stored(storage: Storage, dtype: np.dtype, shape: tuple[int, ...], key: str = "") -> TensorView:
    """A dense tensor that fills ``storage``."""
    ref = StorageRef(key, dtype, dtype.str, storage.nbytes // dtype.itemsize)
    ref.storage = storage
    return TensorView(ref, 0, shape, dense_strides(shape))


def attach(refs: Iterable[StorageRef], storages: dict[str, Storage], where: str) -> None:
    """Give every storage that a pickle speaks of its bytes.

    Raises:
        CheckpointError: One is missing or is smaller than the pickle says.
    """
    problems = []
    for ref in refs:
        storage = storages.get(ref.key)
        itemsize = ref.dtype.itemsize if ref.dtype is not None else 1
        needed = (ref.start + ref.numel) * itemsize
        if storage is None or storage.nbytes < needed:
            size = "nothing" if storage is None else f"{storage.nbytes} bytes"
            problems.append(
                Problem(
                    "storage is missing or too small",
                    where=f"storage {ref.key!r:.80} in {where}",
                    found=size,
                    expected=f"{needed} bytes",
                    fix="the file is truncated or damaged: fetch it again",
                )
            )
        ref.storage = storage
    if problems:
        raise CheckpointError(problems)


def tensor(name: str, view: TensorView) -> Tensor | Problem:
    """The record of one tensor, or what is wrong with it."""
    ref, offset, size, stride, dtype = view
    dtype = ref.dtype if dtype is None else dtype
    storage = ref.storage
    if dtype is None or storage is None:
        return Problem("tensor without bytes", where=f"{name!r:.200}", found=ref.dtype_name)
    if type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride) or type(offset) is not int:
        return Problem("tensor without a shape", where=f"{name!r:.200}")
    item = dtype.itemsize
    first = last = offset + ref.start
    elements = nonzero = 1
    for n, step in zip(size, stride, strict=True):
        if type(n) is not int or type(step) is not int or n < 0 or step < 0:
            return Problem("tensor whose shape or strides are no counts", where=f"{name!r:.200}")
        last += (n - 1) * step
        elements *= n
        nonzero *= n or 1
    room = storage.nbytes
    if elements and (first < 0 or (last + 1) * item > room):
        return Problem(
            "tensor reaches outside of its storage",
            where=f"{name!r:.200}",
            found=f"shape {size!r:.200}, strides {stride!r:.200}, offset {first}, {dtype.name}",
            expected=f"at most {room} bytes",
            fix="the file is damaged: fetch it again",
        )
    if len(size) > MAX_RANK or (nonzero * item > room and nonzero * item > MAX_EXPANSION):
        return Problem(
            "tensor of an absurd shape", where=f"{name!r:.200}", found=f"shape {size!r:.200} over {room} bytes"
        )
    return Tensor(name, size, dtype, stride, storage, first)


def tensors_of(contents: Contents) -> dict[str, Tensor]:
    """The tensors of a file that has no wrappers, by name; what is none is left out.

    Raises:
        CheckpointError: One is damaged.
    """
    made = [tensor(name, node) for name, node in contents.tree.items() if type(node) is TensorView]
    problems = [record for record in made if isinstance(record, Problem)]
    if problems:
        raise CheckpointError(problems)
    return {record.name: record for record in made if isinstance(record, Tensor)}
