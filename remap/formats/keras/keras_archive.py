"""A whole ``.keras`` model: the user's own archive with new weights, everything else copied as it is."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

from remap.errors import UsageError
from remap.formats.containers.hdf5 import make_skeleton
from remap.formats.containers.stored_zip import StoredZip
from remap.formats.keras.weights_h5 import datasets_of, describe
from remap.tensors.pwrite import write_all
from remap.writing.fill import Region
from remap.writing.job import Job
from remap.writing.staging import check_space

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"
COMPILED = "the optimizer starts anew, of which Keras warns"
CHUNK = 1 << 20


def write_keras_archive(job: Job) -> None:
    """Write a plan as a copy of ``model_archive`` with its weights replaced.

    The weights are put straight into the archive, so that the disk needs room for them once.

    Raises:
        UsageError: There is no such archive, or it is none.
    """
    source = job.options.model_archive
    if source is None:
        raise UsageError(
            "a .keras file holds the whole model, which weights alone do not make",
            where=str(job.out),
            fix="give your model's own archive (--model model.keras), or write .weights.h5",
        )
    datasets = datasets_of(job.plan)
    path, skeleton = job.create(job.out), job.staging.scratch(job.out.with_suffix(".h5"))
    regions = make_skeleton(skeleton, datasets, describe)
    archive = StoredZip()
    others = _others(source)
    places = [(archive.add(name, len(data)).start, data) for name, data in others.items()]
    start = archive.add(WEIGHTS, skeleton.stat().st_size).start
    check_space(path.parent, skeleton.stat().st_size)
    with path.open("wb") as file:
        for place, data in places:
            file.seek(place)
            file.write(data)
        file.truncate(start + skeleton.stat().st_size)
        _copy_data(skeleton, file.fileno(), start)
    job.filler.fill(path, [Region(found.assignment, start + found.offset, found.dtype) for found in regions])
    archive.finish(path)


def load_line(job: Job) -> str:
    """The line that loads what was written, and what Keras says of a model that is compiled.

    Its optimizer's state in the user's archive belongs to the old weights, so it is left out: Keras begins a new one.
    """
    line = f"import keras\nmodel = keras.saving.load_model({job.quoted})"
    return f"{line}  # {COMPILED}" if _is_compiled(job.out) else line


def _is_compiled(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return bool(json.loads(archive.read(CONFIG)).get("compile_config"))


def _others(source: Path) -> dict[str, bytes]:
    """Everything in an archive but the weights."""
    try:
        with zipfile.ZipFile(source) as archive:
            found = {name: archive.read(name) for name in archive.namelist() if name != WEIGHTS}
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError("cannot read the model's archive", where=str(source), found=str(error)) from error
    try:
        model = json.loads(found.get(CONFIG, b""))
    except ValueError:
        model = None
    if type(model) is not dict:
        raise UsageError("the archive holds no model", where=str(source), expected="a file that model.save made")
    return found


def _copy_data(source: Path, into: int, start: int) -> None:
    """Copy the stretches of a file that hold data, holes left out."""
    with source.open("rb") as file:
        handle, end, position = file.fileno(), os.fstat(file.fileno()).st_size, 0
        while position < end:
            try:
                position = os.lseek(handle, position, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                return
            stop = os.lseek(handle, position, os.SEEK_HOLE)
            while position < stop:
                data = os.pread(handle, min(CHUNK, stop - position), position)
                write_all(into, data, start + position)
                position += len(data)
