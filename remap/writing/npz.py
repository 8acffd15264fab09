"""numpy's ``.npz``: one ``.npy`` file a variable, by Keras path."""

from __future__ import annotations

import io

import numpy as np

from remap.errors import Problem, UsageError
from remap.formats.containers.stored_zip import StoredZip
from remap.tensors.dtypes import numpy_file_dtype
from remap.writing.fill import Region
from remap.writing.job import Job, assign_line
from remap.writing.staging import check_space

SUFFIX = ".npy"
MAX_NAME = 0xFFFF
"""Bytes of the name of a file in a zip archive, whose field for it has 16 bits."""
TYPED = """import ml_dtypes

def typed(array):  # numpy has no bfloat16 or float8: the one field's name says what its bits are
    return array.view(array.dtype.names[0]) if array.dtype.names else array

"""


def write_npz(job: Job) -> None:
    """Write a plan as ``.npz``; bfloat16 and float8 by their bits (:func:`remap.tensors.dtypes.numpy_file_dtype`).

    Raises:
        UsageError: A name is too long.
    """
    problems = [
        Problem("a name is too long for an archive", where=f"{found.name[:80]} ...", found=f"{length:,} bytes")
        for found in job.plan.assignments
        if (length := len(found.name.encode()) + len(SUFFIX)) > MAX_NAME
    ]
    if problems:
        raise UsageError(problems)
    path = job.create(job.out)
    archive, regions, headers = StoredZip(), [], []
    for assignment in job.plan.assignments:
        dtype = assignment.dtype
        header = _header(assignment.shape, numpy_file_dtype(dtype))
        region = Region(assignment, 0, dtype)
        entry = archive.add(f"{assignment.name}{SUFFIX}", len(header) + region.nbytes)
        regions.append(Region(assignment, entry.start + len(header), dtype))
        headers.append((entry.start, header))
    check_space(path.parent, sum(region.nbytes for region in regions))
    with path.open("wb") as file:
        for start, header in headers:
            file.seek(start)
            file.write(header)
    job.filler.fill(path, regions)
    archive.finish(path)


def load_line(job: Job) -> str:
    """The lines that load what was written; where it has bfloat16 or float8, they read its bits as such."""
    plain = all(found.dtype == numpy_file_dtype(found.dtype) for found in job.plan.assignments)
    imports, lookup = ("", "weights[{}]") if plain else (TYPED, "typed(weights[{}])")
    return f"import numpy as np\n{imports}weights = np.load({job.quoted})\n" + assign_line(lookup, job.plan)


def _header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    buffer = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()
