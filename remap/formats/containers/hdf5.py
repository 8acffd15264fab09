"""HDF5 files laid out in advance: the library writes the headers into memory, the bytes of datasets go in later.

Datasets are contiguous and allocated when they are created, so that their place in the file is known at once, and
never filled by the library: HDF5 1.8 and later, https://docs.hdfgroup.org/hdf5/v1_14/group___d_c_p_l.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from remap.errors import Problem, WriteError
from remap.formats.containers.memory_file import MemoryFile
from remap.formats.sheet import FixedBytes, Region, SheetFile
from remap.planning.plan import Assignment

BFLOAT16 = "bfloat16"
PAGE = 4096
"""Larger datasets begin at a multiple of this: the kernel copies whole pages."""
LARGE = 64 * PAGE


@dataclass(frozen=True, slots=True)
class Dataset:
    """One variable's dataset.

    Args:
        path: Where it is, ``layers/dense/vars/0``.
        assignment: The variable.
        dtype: Element type in the file.
        links: Further paths that lead to it.
    """

    path: str
    assignment: Assignment
    dtype: np.dtype
    links: tuple[str, ...] = ()


def hdf5_file(path: Path, datasets: Sequence[Dataset], describe: Callable[[h5py.File], None]) -> SheetFile:
    """A file of datasets.

    Args:
        path: The file.
        datasets: In the order in which their bytes lie in it.
        describe: Adds groups and attributes before any dataset is made.

    Raises:
        WriteError: Two datasets have one path, or one has a name that HDF5 cannot hold.
    """
    _check_names(datasets)
    _demand_single(datasets)
    memory, layout, links = MemoryFile(), _contiguous(), _with_groups()
    with h5py.File(memory, "w", alignment_threshold=LARGE, alignment_interval=PAGE) as file:
        describe(file)
        offsets = [_create(file, each, layout, links) for each in datasets]
    regions = tuple(Region(each.assignment, at, each.dtype) for each, at in zip(datasets, offsets, strict=True))
    holes = [(region.offset, region.offset + region.nbytes) for region in regions if region.nbytes]
    fixed = tuple(FixedBytes(start, data) for start, data in memory.stretches(holes))
    return SheetFile(path, memory.size, regions, fixed)


def _check_names(datasets: Sequence[Dataset]) -> None:
    problems = [
        Problem("HDF5 cannot hold a name with a NUL character", where=repr(path))
        for dataset in datasets
        for path in (dataset.path, *dataset.links)
        if "\0" in path
    ]
    if problems:
        raise WriteError(problems)


def _place(path: str) -> str:
    """A path as HDF5 understands it."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _demand_single(datasets: Sequence[Dataset]) -> None:
    """Raise where two datasets have one path, or one the path of a group that another is in."""
    paths = [_place(path) for dataset in datasets for path in (dataset.path, *dataset.links)]
    taken = {path[:at] for path in paths for at, sign in enumerate(path) if sign == "/"}
    for dataset in datasets:
        for path in (dataset.path, *dataset.links):
            place = _place(path)
            if place in taken:
                raise WriteError("two variables have one place in the file", where=path, found=dataset.assignment.name)
            taken.add(place)


def _contiguous() -> Any:
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.CONTIGUOUS)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return layout


def _with_groups() -> Any:
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    return links


def _create(file: h5py.File, dataset: Dataset, layout: Any, links: Any) -> int:
    """Make a dataset; where its bytes go in the file, 0 where it has none."""
    extended = dataset.dtype.name == BFLOAT16
    stored = h5py.h5t.py_create(np.dtype("V2") if extended else dataset.dtype, logical=True)
    space = h5py.h5s.create_simple(dataset.assignment.shape)
    try:
        made = h5py.h5d.create(file.id, dataset.path.encode(), stored, space, layout, links)
        for path in dataset.links:
            file[path] = file[dataset.path]
    except (ValueError, KeyError) as error:  # a dataset lies where a group would have to
        raise WriteError("HDF5 has no place for a variable", where=dataset.path, found=str(error)) from error
    if extended:
        file[dataset.path].attrs["dtype"] = BFLOAT16
    return int(made.get_offset() or 0)
