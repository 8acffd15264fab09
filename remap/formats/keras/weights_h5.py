"""Keras 3's ``.weights.h5`` layout: a group for every object that has variables, numbered datasets in it."""

from __future__ import annotations

import h5py

from remap.errors import Problem, UsageError
from remap.formats.containers.hdf5 import Dataset, write_hdf5
from remap.planning.plan import Plan
from remap.writing.job import Job

KERAS_2 = "before the model is trained: tf_keras would look for its metrics in the file"


def write_weights_h5(job: Job) -> None:
    """Write a plan as a ``.weights.h5`` file.

    Raises:
        UsageError: The model is not known, or a variable has an element type that Keras does not restore.
    """
    datasets = datasets_of(job.plan)
    write_hdf5(job.create(job.out), datasets, job.filler, describe)


def load_line(job: Job) -> str:
    """The line that loads what was written."""
    line, target = f"model.load_weights({job.quoted})", job.plan.target
    return f"{line}  # {KERAS_2}" if target is not None and target.is_keras2 else line


def datasets_of(plan: Plan) -> list[Dataset]:
    """Every variable's dataset, in the order in which Keras saves them where that is known.

    Raises:
        UsageError: As :func:`write_weights_h5`.
    """
    if plan.target is None:
        raise UsageError(
            "this layout has paths of its own for every variable, and only the model knows them",
            found="no model",
            fix="give --model, --target FILE (made by 'remap target MODEL -o FILE'), or write a legacy .h5",
        )
    problems = [
        Problem(
            "Keras cannot restore this element type from a file",
            where=assignment.name,
            found=assignment.dtype.name,
            fix="choose --dtype float16 or bfloat16",
        )
        for assignment in plan.assignments
        if assignment.dtype.name.startswith("float8")
    ]
    found: list[Dataset] = []
    for assignment in plan.assignments:
        paths = assignment.variable.weights_h5 if assignment.variable is not None else ()
        if paths:
            found.append(Dataset(paths[0], assignment, assignment.dtype, paths[1:]))
        else:
            problems.append(Problem("Keras does not save this variable in .weights.h5", where=assignment.name))
    if problems:
        raise UsageError(problems)
    return found


def describe(file: h5py.File) -> None:
    """Make what every file has beside its datasets."""
    file.create_group("vars")  # Keras 3.0 to 3.5 look for the root's own variables even where there are none
