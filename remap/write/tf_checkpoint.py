"""TensorFlow checkpoints, name-based and object-based, without TensorFlow.

Name-based: read by ``tf.train.load_checkpoint``, ``tf.compat.v1.train.Saver`` and tf_keras. Object-based: read by
``load_weights`` of tf_keras models, and by no Keras 3 model whole; restoring follows the edges of an object graph, for
which a tree of the keys' own components is enough (tensorflow/core/protobuf/trackable_object_graph.proto).
"""

from __future__ import annotations

from pathlib import Path

from remap.errors import Problem, UsageError
from remap.planning.plan import Assignment, Plan
from remap.write.bundle import DTYPES, STRING, BundleEntry, crc32c, field, index_table, string_tensor
from remap.write.fill import Region
from remap.write.job import Job, assign_line
from remap.write.staging import check_space

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
CHUNK = 1 << 20


def write_by_name(job: Job) -> None:
    """Write a plan under the variables' own names.

    Raises:
        UsageError: TensorFlow has no such element type.
        MissingPackageError: google-crc32c is not installed.
    """
    _write(job, {found.name: found for found in job.plan.assignments}, None)


def write_by_object(job: Job) -> None:
    """Write a plan with the object graph of its model.

    Raises:
        UsageError: The model is not known, or TensorFlow does not track all of its variables.
        MissingPackageError: google-crc32c is not installed.
    """
    keys = _object_keys(job.plan)
    _write(job, keys, object_graph(list(keys)))


def load_line_by_name(job: Job) -> str:
    """The lines that load what was written."""
    return f"import tensorflow as tf\nreader = tf.train.load_checkpoint({job.quoted})\n" + assign_line(
        "reader.get_tensor({})"
    )


def load_line_by_object(job: Job) -> str:
    """The line that loads what was written."""
    return f"model.load_weights({job.quoted}).assert_consumed()"


def _object_keys(plan: Plan) -> dict[str, Assignment]:
    if plan.target is None:
        raise UsageError(
            "an object-based checkpoint follows the model's objects, which only the model knows",
            found="no model",
            fix="give --model or --target, or write a name-based one (--format tf_name)",
        )
    found: dict[str, Assignment] = {}
    problems = []
    for assignment in plan.assignments:
        key = assignment.variable.tf_object if assignment.variable is not None else None
        if key is not None:
            found[key + VALUE] = assignment
        else:
            problems.append(
                Problem(
                    "tf.train.Checkpoint does not follow this variable, and would leave it out without a word"
                    if _is_keras2(plan)
                    else "tf.train.Checkpoint does not follow Keras 3 models into every layer, and leaves out what it "
                    "does not find without a word",
                    where=assignment.name,
                    fix="write .weights.h5, or a name-based checkpoint (--format tf_name), which says how to load it",
                )
            )
    if problems:
        raise UsageError(problems)
    return found


def _is_keras2(plan: Plan) -> bool:
    return plan.target is not None and plan.target.keras_version.startswith("2.")


def _write(job: Job, variables: dict[str, Assignment], graph: bytes | None) -> None:
    crc32c()
    problems = [
        Problem("TensorFlow has no such element type", where=found.name, found=found.dtype.name)
        for found in variables.values()
        if found.dtype.name not in DTYPES
    ]
    if problems:
        raise UsageError(problems)
    data = job.create(Path(f"{job.out}.data-00000-of-00001"))
    index = job.create(Path(f"{job.out}.index"))
    regions: dict[str, Region] = {}
    offset = 0
    for key in sorted(variables):
        regions[key] = Region(variables[key], offset, variables[key].dtype)
        offset += regions[key].nbytes
    check_space(data.parent, offset)
    text, checksum = string_tensor(graph) if graph is not None else (b"", 0)
    with data.open("wb") as file:
        file.seek(offset)
        file.write(text)
    job.filler.fill(data, list(regions.values()))
    entries = _entries(data, regions)
    if graph is not None:
        entries[GRAPH] = BundleEntry(STRING, (), offset, len(text), checksum)
    index.write_bytes(index_table(entries))
    job.staging.temporary(job.out.with_name("checkpoint")).write_text(
        f'model_checkpoint_path: "{job.out.name}"\nall_model_checkpoint_paths: "{job.out.name}"\n'
    )


def _entries(data: Path, regions: dict[str, Region]) -> dict[str, BundleEntry]:
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


def object_graph(keys: list[str]) -> bytes:
    """A TrackableObjectGraph: the tree of the components of ``a/b/.ATTRIBUTES/VARIABLE_VALUE`` keys."""
    children: list[dict[str, int]] = [{}]
    values: dict[int, str] = {}
    for key in keys:
        node = 0
        for name in key.removesuffix(VALUE).split("/"):
            if name not in children[node]:
                children[node][name] = len(children)
                children.append({})
            node = children[node][name]
        values[node] = key
    graph = b""
    for node, edges in enumerate(children):
        message = b"".join(
            field(1, field(1, child) + field(2, _unescaped(name).encode())) for name, child in edges.items()
        )
        if node in values:
            full_name = values[node].removesuffix(VALUE).encode()
            attribute = field(1, b"VARIABLE_VALUE") + field(2, full_name) + field(3, values[node].encode())
            message += field(2, attribute)
        graph += field(1, message)
    return graph


def _unescaped(name: str) -> str:
    """A component of a key as the object has it: in keys "." is ".." and "/" is ".S"."""
    return name.replace(".S", "/").replace("..", ".")
