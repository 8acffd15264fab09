"""TensorFlow checkpoints, name-based and object-based, without TensorFlow.

Name-based: read by ``tf.train.load_checkpoint``, ``tf.compat.v1.train.Saver`` and tf_keras. Object-based: read by
``tf.train.Checkpoint`` and by ``load_weights`` of tf_keras models. Restoring follows the edges of an object graph, for
which a tree of the keys' own components is enough (tensorflow/core/protobuf/trackable_object_graph.proto).
"""

from __future__ import annotations

import json
from pathlib import Path

from remap.errors import Problem, UsageError
from remap.formats.tensorflow import pointer
from remap.formats.tensorflow.bundle import DTYPES, STRING, BundleEntry, crc32c, index_table, string_tensor
from remap.formats.tensorflow.object_graph import COUNTER, MODEL, holds, object_graph
from remap.formats.tensorflow.tf_bundle import OBJECT_ENDING, OBJECT_GRAPH
from remap.inventory.inventory import EXPORTED, Inventory
from remap.planning.plan import Assignment
from remap.writing.fill import Region
from remap.writing.job import Job, assign_line
from remap.writing.staging import check_space

CHUNK = 1 << 20
SHOWN = 12
COMPILED = "# or, where the model is compiled already, as the file holds no optimizer: "


def write_by_name(job: Job) -> None:
    """Write a plan under the variables' own names.

    Raises:
        UsageError: TensorFlow has no such element type.
        MissingPackageError: google-crc32c is not installed.
    """
    _write(job, {found.name: found for found in job.plan.assignments}, {})


def write_by_object(job: Job) -> None:
    """Write a plan with the object graph of its model.

    The model's variables hang from the root and, unless the model itself has something of that name, from an edge
    ``model`` too: so one file serves ``tf.train.Checkpoint(model=...)``, ``tf.train.Checkpoint(...)`` and
    ``load_weights`` of tf_keras.

    Raises:
        UsageError: The model is not known, TensorFlow does not track all of its variables, or one is to be written as
            another element type than it has.
        MissingPackageError: google-crc32c is not installed.
    """
    keys = _object_keys(job)
    extras = {OBJECT_GRAPH: (STRING, *string_tensor(object_graph(list(keys))))}
    if not holds(keys, COUNTER):
        extras[COUNTER + OBJECT_ENDING] = (DTYPES["int64"], bytes(8), crc32c()(0, bytes(8)))
    _write(job, keys, extras)


def load_line_by_name(job: Job) -> str:
    """The lines that load what was written."""
    return _lines_by_name(job) + pointer.note(job.out)


def _lines_by_name(job: Job) -> str:
    return f"import tensorflow as tf\nreader = tf.train.load_checkpoint({job.quoted})\n" + assign_line(
        "reader.get_tensor({})", job.plan
    )


def load_line_by_object(job: Job) -> str:
    """The lines that load what was written, those that demand that nothing is left over first.

    They fail for a model that is compiled, though every weight is restored: its optimizer is not in the file.
    """
    return _lines_by_object(job) + pointer.note(job.out)


def _lines_by_object(job: Job) -> str:
    target = job.plan.target
    if target is not None and target.kind == EXPORTED:
        load = f"model = tf.saved_model.load({json.dumps(target.model, ensure_ascii=False)})"
        restore = f"tf.train.Checkpoint(model).restore({job.quoted}).expect_partial()"
        save = "tf.saved_model.save(model, folder, signatures=model.signatures)"
        return f"import tensorflow as tf\n{load}\n{restore}\n# and into a new folder: {save}"
    root = "model" if holds(_object_keys(job), MODEL) else "model=model"
    restore = f"tf.train.Checkpoint({root}).restore({job.quoted})"
    if target is not None and target.is_keras2:
        load = f"model.load_weights({job.quoted})"
        return (
            f"{load}.assert_existing_objects_matched()\n# or: {restore}.assert_consumed()\n"
            f"{COMPILED}{load}.expect_partial()"
        )
    return f"import tensorflow as tf\n{restore}.assert_consumed()\n{COMPILED}{restore}.expect_partial()"


def _object_keys(job: Job) -> dict[str, Assignment]:
    """The keys of the checkpoint: one of every variable, and those of its copies.

    Raises:
        UsageError: A variable has none, or could not be restored from it.
    """
    target = job.plan.target
    if target is None:
        raise UsageError(
            "an object-based checkpoint follows the model's objects, which only the model knows",
            found="no model",
            fix="give --model or --target, or write a name-based one (--format tf-name)",
        )
    keys: dict[str, Assignment] = {}
    problems = []
    for assignment in job.plan.assignments:
        variable = assignment.variable
        if variable is None or variable.tf_object is None:
            raise UsageError(_untracked(job, target))
        keys |= {key + OBJECT_ENDING: assignment for key in (variable.tf_object, *variable.tf_copies)}
        if variable.dtype != assignment.dtype.name:
            problems.append(
                Problem(
                    "tf.train.Checkpoint does not cast, and this variable has another element type",
                    where=assignment.name,
                    found=assignment.dtype.name,
                    expected=variable.dtype,
                    fix="leave out --dtype, or write a name-based checkpoint (--format tf-name)",
                )
            )
    if problems:
        raise UsageError(problems)
    return keys


def _untracked(job: Job, target: Inventory) -> Problem:
    instead = f"write .weights.h5; or write --format tf-name, which these lines load:\n{_lines_by_name(job)}"
    instead = instead.replace("\n", "\n    ")
    if target.tf_unknown:
        return Problem(
            "it is not known which of the model's objects tf.train.Checkpoint follows",
            where=target.model,
            found=target.tf_unknown,
            expected="a model that TensorFlow can track, looked at with KERAS_BACKEND=tensorflow",
            fix=instead,
        )
    left_out: dict[str, list[str]] = {}
    variables = [found.variable for found in job.plan.assignments if found.variable is not None]
    for variable in variables:
        if variable.tf_object is None:
            layer = target.layers[variable.layer].path
            left_out.setdefault(layer or "the model itself", []).append(variable.path.rpartition("/")[2])
    count = sum(len(names) for names in left_out.values())
    listed = [f"{layer}: {', '.join(names)}" for layer, names in left_out.items()]
    if len(listed) > SHOWN:
        listed[SHOWN:] = [f"... and {len(listed) - SHOWN} more layers"]
    return Problem(
        f"tf.train.Checkpoint would leave out {count} of the model's {len(variables)} variables, without a word",
        where=target.model,
        excerpt="\n".join(["left out:", *(f"  {line}" for line in listed)]),
        expected="layers that are attributes of the model or of each other, alone or in tuples"
        + (", lists or dicts with names as keys" if target.is_keras2 else ": Keras 3 hides lists and dicts"),
        fix=instead,
    )


def _write(job: Job, variables: dict[str, Assignment], extras: dict[str, tuple[int, bytes, int]]) -> None:
    """Write variables by their keys, then single values: each the number of its dtype, its bytes and their checksum."""
    crc32c()
    problems = [
        Problem("TensorFlow has no such element type", where=found.name, found=found.dtype.name)
        for found in job.plan.assignments
        if found.dtype.name not in DTYPES
    ]
    if problems:
        raise UsageError(problems)
    data = job.create(Path(f"{job.out}.data-00000-of-00001"))
    index = job.create(Path(f"{job.out}.index"))
    regions: dict[int, Region] = {}
    offset = 0
    for key in sorted(variables):
        found = variables[key]
        if id(found) not in regions:
            regions[id(found)] = Region(found, offset, found.dtype)
            offset += found.nbytes
    check_space(data.parent, offset)
    entries = {}
    with data.open("wb") as file:
        file.seek(offset)
        for key, (number, content, checksum) in extras.items():
            entries[key] = BundleEntry(number, (), file.tell(), len(content), checksum)
            file.write(content)
    job.filler.fill(data, list(regions.values()))
    written = _entries(data, regions)
    entries |= {key: written[id(found)] for key, found in variables.items()}
    index.write_bytes(index_table(entries))
    job.staging.after(lambda: pointer.claim(job.out))


def _entries(data: Path, regions: dict[int, Region]) -> dict[int, BundleEntry]:
    """The entries of tensors that lie in the data file, their checksums read back from it."""
    extend = crc32c()
    found = {}
    with data.open("rb") as file:
        for key, region in regions.items():
            checksum, left = 0, region.nbytes
            file.seek(region.offset)
            while left:
                chunk = file.read(min(left, CHUNK))
                checksum, left = extend(checksum, chunk), left - len(chunk)
            number = DTYPES[region.dtype.name]
            found[key] = BundleEntry(number, region.assignment.shape, region.offset, region.nbytes, checksum)
    return found
