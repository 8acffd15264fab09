"""HDF5 files in two steps: a skeleton with room for every dataset, then the bytes put straight into the room.

Datasets are contiguous and allocated when they are created, so that their place in the file is known at once, and
never filled by the library: HDF5 1.8 and later, https://docs.hdfgroup.org/hdf5/v1_14/group___d_c_p_l.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from remap.errors import Problem, WriteError
from remap.planning.plan import Assignment
from remap.writing.fill import Filler, Region
from remap.writing.staging import check_space

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


def write_hdf5(path: Path, datasets: Sequence[Dataset], filler: Filler, describe: Callable[[h5py.File], None]) -> None:
    """Write datasets to a new file.

    Args:
        path: The file.
        datasets: In the order in which their bytes lie in it.
        filler: Renders them.
        describe: Adds groups and attributes before any dataset is made.

    Raises:
        WriteError: Two datasets have one path, one has a name that HDF5 cannot hold, or the disk has no room.
    """
    check_space(path.parent, sum(Region(found.assignment, 0, found.dtype).nbytes for found in datasets))
    filler.fill(path, make_skeleton(path, datasets, describe))


def make_skeleton(path: Path, datasets: Sequence[Dataset], describe: Callable[[h5py.File], None]) -> list[Region]:
    """Make the file with all but the datasets' bytes, and say where those go.

    Raises:
        WriteError: As :func:`write_hdf5`.
    """
    _check_names(datasets)
    try:
        # Not locked by the library: the file is a temporary one, which its run may have locked already.
        with h5py.File(path, "w", locking=False, alignment_threshold=LARGE, alignment_interval=PAGE) as file:
            describe(file)
            return [Region(found.assignment, _create(file, found), found.dtype) for found in datasets]
    except RuntimeError as error:  # what h5py makes of a disk that fails when the file is closed
        raise WriteError("the output cannot be written", where=str(path), found=str(error)) from error


def _check_names(datasets: Sequence[Dataset]) -> None:
    problems = [
        Problem("HDF5 cannot hold a name with a NUL character", where=repr(path))
        for dataset in datasets
        for path in (dataset.path, *dataset.links)
        if "\0" in path
    ]
    if problems:
        raise WriteError(problems)


def _create(file: h5py.File, dataset: Dataset) -> int:
    """Make a dataset; where its bytes go in the file, 0 where it has none."""
    for path in (dataset.path, *dataset.links):
        if path in file:
            raise WriteError("two variables have one place in the file", where=path, found=dataset.assignment.name)
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.CONTIGUOUS)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
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
