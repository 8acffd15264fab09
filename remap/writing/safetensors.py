"""``.safetensors`` with Keras paths as names: https://github.com/huggingface/safetensors#format"""

from __future__ import annotations

import json

from remap.errors import Problem, UsageError
from remap.writing.fill import Region
from remap.writing.job import Job, assign_line
from remap.writing.staging import check_space

NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
"""Element types as the format calls them."""
ALIGNMENT = 8


def write_safetensors(job: Job) -> None:
    """Write a plan as ``.safetensors``.

    Raises:
        UsageError: The format has no such element type.
    """
    assignments = sorted(job.plan.assignments, key=lambda found: -found.dtype.itemsize)  # all of them aligned
    problems = [
        Problem("safetensors has no such element type", where=found.name, found=found.dtype.name)
        for found in assignments
        if found.dtype.name not in NAMES
    ]
    if problems:
        raise UsageError(problems)
    path = job.create(job.out)
    header: dict[str, object] = {"__metadata__": {"format": "np"}}
    offset = 0
    for found in assignments:
        place = [offset, offset + found.nbytes]
        header[found.name] = {"dtype": NAMES[found.dtype.name], "shape": found.shape, "data_offsets": place}
        offset += found.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    check_space(path.parent, offset)
    start = 8 + len(text)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
    regions = []
    for found in assignments:
        regions.append(Region(found, start, found.dtype))
        start += found.nbytes
    job.filler.fill(path, regions)


def load_line(job: Job) -> str:
    """The lines that load what was written: by safetensors, whose numpy side (0.8) knows no float8, else by remap."""
    if any(found.dtype.name.startswith("float8") for found in job.plan.assignments):
        load = f"import remap\nfile = remap.open_checkpoint({job.quoted})\n"
        return load + assign_line("file[{}].array()", job.plan)
    return f"from safetensors.numpy import load_file\nweights = load_file({job.quoted})\n" + assign_line(
        "weights[{}]", job.plan
    )
