"""The legacy Keras ``.h5`` layout: one group a layer, its weights in order.

Keras 2 and tf_keras read and write it; Keras 3 reads it, topologically or ``by_name``. Names of weights mean nothing
to the loaders, their order in the attribute ``weight_names`` does.
"""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np

from remap.errors import Problem, UsageError
from remap.formats.containers.hdf5 import BFLOAT16, Dataset, write_hdf5
from remap.inventory.inventory import Inventory
from remap.planning.plan import Assignment, Plan
from remap.writing.job import Job

KERAS_VERSION = "2.15.0"
"""Without a version from 2 on, tf_keras takes the file for Keras 1 and transposes some kernels."""
TOP_LEVEL = "top_level_model_weights"
ATTRIBUTE_BYTES = 64512
"""What one attribute holds at most, as Keras splits it: HDF5 allows 64 KB with its header."""
NOT_TRAINABLE = ("moving_mean", "moving_variance")

LayerGroups = dict[str, list[tuple[str, Assignment]]]


def write_legacy_h5(job: Job) -> None:
    """Write a plan as a legacy ``.h5`` file.

    Raises:
        UsageError: The layout has no place for a variable or a name, or no such element type.
    """
    groups = layers_of(job.plan)
    _check_names(groups)

    def describe(file: h5py.File) -> None:
        file.attrs["backend"] = "tensorflow"
        file.attrs["keras_version"] = KERAS_VERSION
        _put_names(file, "layer_names", [layer for layer in groups if layer != TOP_LEVEL])
        for layer, weights in groups.items():
            _put_names(file.create_group(layer), "weight_names", [name for name, _ in weights])

    write_hdf5(job.create(job.out), _datasets(groups), job.filler, describe)


def load_line(job: Job) -> str:
    """The line that loads what was written.

    Topologically where the model is known; by name where the order of its layers is not, and where it has several
    variables of its own, which Keras 3 loads by name only.
    """
    by_name = job.plan.target is None or len(layers_of(job.plan).get(TOP_LEVEL, ())) > 1
    return f"model.load_weights({job.quoted}{', by_name=True' if by_name else ''})"


def layers_of(plan: Plan) -> LayerGroups:
    """The file's groups: layer name -> its weights by name, in order."""
    groups = _layers_by_path(plan) if plan.target is None else _layers_by_target(plan, plan.target)
    if not groups.get(TOP_LEVEL, True):
        del groups[TOP_LEVEL]  # empty, it keeps Keras 3.0 to 3.6 from loading by name
    return groups


def _layers_by_target(plan: Plan, target: Inventory) -> LayerGroups:
    assigned = {found.variable.path: found for found in plan.assignments if found.variable is not None}
    homeless = [variable.path for variable in target.variables if variable.legacy_h5 is None]
    if homeless:
        raise UsageError(
            Problem(
                "the legacy .h5 layout has no place for a variable",
                where=path,
                fix="write .weights.h5, which holds every variable",
            )
            for path in homeless
        )
    return {
        layer: [(name, assigned[variable.path]) for name, variable in weights]
        for layer, weights in target.legacy_groups().items()
    }


def _layers_by_path(plan: Plan) -> LayerGroups:
    """The first component of a path is the layer; a path of one component is the model's own variable.

    In a layer, what trains comes before what does not, as the loaders expect it.
    """
    groups: LayerGroups = {}
    for assignment in plan.assignments:
        layer, inner, _ = assignment.name.partition("/")
        groups.setdefault(layer if inner else TOP_LEVEL, []).append((f"{assignment.name}:0", assignment))
    for weights in groups.values():
        weights.sort(key=lambda weight: weight[0].removesuffix(":0").endswith(NOT_TRAINABLE))
    return groups


def _datasets(groups: LayerGroups) -> list[Dataset]:
    places: dict[int, list[str]] = {}
    found: dict[int, Assignment] = {}
    for layer, weights in groups.items():
        for name, assignment in weights:
            found[id(assignment)] = assignment
            places.setdefault(id(assignment), []).append(f"{layer}/{name}")
    problems = [
        Problem(
            "the legacy .h5 layout has no such element type",
            where=assignment.name,
            found=assignment.dtype.name,
            fix="write .weights.h5, or choose --dtype float32",
        )
        for assignment in found.values()
        if _stored(assignment.dtype) is None
    ]
    if problems:
        raise UsageError(problems)
    return [
        Dataset(paths[0], found[key], _stored(found[key].dtype) or found[key].dtype, tuple(paths[1:]))
        for key, paths in places.items()
    ]


def _stored(dtype: np.dtype) -> np.dtype | None:
    """How the file holds an element type: bfloat16, which it lacks, as float32; None for what it cannot hold."""
    if dtype.name == BFLOAT16:
        return np.dtype(np.float32)
    return None if dtype.name.startswith("float8") else dtype


def _check_names(groups: LayerGroups) -> None:
    names = [*groups, *(name for weights in groups.values() for name, _ in weights)]
    problems = [
        Problem(
            "the legacy .h5 layout has no room for a name",
            where=repr(name[:80]),
            found="a NUL character" if "\0" in name else f"{len(name.encode()):,} bytes",
            expected=f"at most {ATTRIBUTE_BYTES:,} bytes, none of them NUL",
        )
        for name in names
        if "\0" in name or len(name.encode()) > ATTRIBUTE_BYTES
    ]
    if problems:
        raise UsageError(problems)


def _put_names(group: h5py.Group, name: str, items: Sequence[str]) -> None:
    """A list of names as an attribute, or as ``name0``, ``name1`` ... where one cannot hold it."""
    parts = _split([item.encode() for item in items])
    for number, part in enumerate(parts):
        array = np.asarray(part) if part else np.zeros(0, "S1")
        group.attrs[name if len(parts) == 1 else f"{name}{number}"] = array


def _split(items: Sequence[bytes]) -> list[list[bytes]]:
    """Names in lists that fit an attribute each, where all take as much room as the longest."""
    parts: list[list[bytes]] = [[]]
    longest = 0
    for item in items:
        longest = max(longest, len(item))
        if parts[-1] and longest * (len(parts[-1]) + 1) > ATTRIBUTE_BYTES:
            parts.append([])
            longest = len(item)
        parts[-1].append(item)
    return parts
