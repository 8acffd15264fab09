"""numpy's ``.npz``: one ``.npy`` file a variable, by Keras path."""

from __future__ import annotations

import io

import numpy as np

from remap.write.fill import Region
from remap.write.job import Job, assign_line
from remap.write.staging import check_space
from remap.write.stored_zip import StoredZip


def write_npz(job: Job) -> None:
    """Write a plan as ``.npz``; bfloat16 and float8, which numpy's files do not know, as float32."""
    path = job.create(job.out)
    archive, regions, headers = StoredZip(), [], []
    for assignment in job.plan.assignments:
        dtype = assignment.dtype if assignment.dtype.isbuiltin == 1 else np.dtype(np.float32)
        header = _header(assignment.shape, dtype)
        region = Region(assignment, 0, dtype)
        entry = archive.add(f"{assignment.name}.npy", len(header) + region.nbytes)
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
    """The lines that load what was written."""
    return f"import numpy as np\nweights = np.load({job.quoted})\n" + assign_line("weights[{}]")


def _header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    buffer = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()
