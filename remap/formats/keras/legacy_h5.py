"""The legacy Keras ``.h5`` layout: one group a layer, its weights in order.

Keras 2 and tf_keras read and write it; Keras 3 reads it, topologically or ``by_name``. Names of weights mean nothing
to the loaders, their order in the attribute ``weight_names`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from remap.errors import Problem, UsageError
from remap.formats.format import Format, FormatOptions, Restorer, quoted
from remap.formats.sheet import Sheet

if TYPE_CHECKING:
    import h5py

    from remap.formats.containers.hdf5 import Dataset
    from remap.inventory.inventory import Inventory, Variable
    from remap.planning.plan import Assignment, Plan

KERAS_VERSION = "2.15.0"
"""Without a version from 2 on, tf_keras takes the file for Keras 1 and transposes some kernels."""
TOP_LEVEL = "top_level_model_weights"
ATTRIBUTE_BYTES = 64512
"""What one attribute holds at most, as Keras splits it: HDF5 allows 64 KB with its header."""
NOT_TRAINABLE = ("moving_mean", "moving_variance")
OPTIMIZER = "optimizer_weights"
"""The group of what is no weight, in a file that holds a whole model."""
_NAME = re.compile(r"(?:model_weights/)?(?P<layer>[^/]+)/(?P<name>.+?)(?::\d+)?")

LayerGroups = dict[str, "list[tuple[str, Assignment]]"]


class LegacyH5(Format):
    """One HDF5 file, a group a layer. :data:`remap.formats.keras.weights_h5.WEIGHTS_H5` reads it: both begin alike."""

    name = "legacy_h5"
    title = "Keras legacy h5"
    suffixes = (".h5", ".hdf5")
    label = ".h5"
    is_target = True
    by_layer = True

    def lay_out(self, plan: Plan, out: Path, options: FormatOptions) -> Sheet:
        """One file.

        Raises:
            UsageError: The layout has no place for a variable, or no such element type.
        """
        from remap.formats.containers.hdf5 import hdf5_file

        groups = layers_of(plan)

        def describe(file: h5py.File) -> None:
            file.attrs["backend"] = "tensorflow"
            file.attrs["keras_version"] = KERAS_VERSION
            _put_names(file, "layer_names", [layer for layer in groups if layer != TOP_LEVEL])
            for layer, weights in groups.items():
                _put_names(file.create_group(layer), "weight_names", [name for name, _ in weights])

        return Sheet((hdf5_file(out, _datasets(groups), describe),))

    def load_lines(self, plan: Plan, out: Path, options: FormatOptions) -> str:
        """The line that loads what was written.

        Topologically where the model is known; by name where the order of its layers is not, and where it has several
        variables of its own, which Keras 3 loads by name only.
        """
        by_name = plan.target is None or len(layers_of(plan).get(TOP_LEVEL, ())) > 1
        return f"model.load_weights({quoted(out)}{', by_name=True' if by_name else ''})"

    def read_back(self, plan: Plan, path: Path, restorer: Restorer) -> Mapping[str, Any]:
        return restorer.load_weights(path)

    def places(self, name: str, variable: Variable | None) -> tuple[str, ...]:
        if variable is None:
            layer, inner, _ = name.partition("/")
            return (f"{layer if inner else TOP_LEVEL}/{name}:0",)
        return tuple(f"{place.layer}/{place.name}" for place in places_of(variable))

    def plain_names(self, names: Iterable[str], inventory: Inventory | None) -> dict[str, str]:
        return {name: _path(name) for name in names if OPTIMIZER not in name}


LEGACY_H5 = LegacyH5()


@dataclass(frozen=True, slots=True)
class LegacyPlace:
    """A place of a variable in the legacy layout.

    Args:
        layer: Name of a top-level layer.
        name: The weight's.
        index: Place among that layer's weights, from 0, where the layer is a further one that the variable's own layer
            is part of; None in the variable's own, where the order is that of the inventory.
    """

    layer: str
    name: str
    index: int | None = None


def as_recorded(places: Iterable[LegacyPlace]) -> tuple[tuple[str, ...], ...]:
    """Places as an inventory holds them.

    >>> as_recorded([LegacyPlace("a", "a/kernel:0"), LegacyPlace("b", "a/kernel:0", 2)])
    (('a', 'a/kernel:0'), ('b', 'a/kernel:0', '2'))
    """
    return tuple(
        (each.layer, each.name) if each.index is None else (each.layer, each.name, str(each.index)) for each in places
    )


def places_of(variable: Variable) -> tuple[LegacyPlace, ...]:
    """The places of a variable, its own first; none where the layout has none for it."""
    recorded = variable.at(LEGACY_H5.name)
    return tuple(LegacyPlace(layer, name, int(index[0]) if index else None) for layer, name, *index in recorded)


def groups_of(target: Inventory) -> dict[str, list[tuple[str, Variable]]]:
    """The layout of a model: layer name -> its weights by name, all in the order that Keras reads.

    Layers without weights have an empty list. The model's own weights, if any, come last, under
    ``top_level_model_weights``.
    """
    groups: dict[str, list[tuple[str, Variable]]] = {name: [] for name in target.legacy_layers}
    further: list[tuple[int, LegacyPlace, Variable]] = []
    for variable in target.variables:
        for place in places_of(variable):
            if place.index is None:
                groups.setdefault(place.layer, []).append((place.name, variable))
            else:
                further.append((place.index, place, variable))
    for index, place, variable in sorted(further, key=lambda each: each[0]):
        groups[place.layer].insert(index, (place.name, variable))
    return groups


def _has_own(variable: Variable) -> bool:
    return any(place.index is None for place in places_of(variable))


def _path(name: str) -> str:
    """``fc/fc/kernel:0`` is the path ``fc/kernel``; an inner layer keeps its scopes.

    >>> _path("fc/fc/kernel:0"), _path("lstm/lstm/lstm_cell/kernel:0"), _path("fc/kernel:0")
    ('fc/kernel', 'lstm/lstm_cell/kernel', 'fc/kernel')
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return name
    own = match["name"]
    return own if own.startswith(f"{match['layer']}/") else f"{match['layer']}/{own}"


def layers_of(plan: Plan) -> LayerGroups:
    """The file's groups: layer name -> its weights by name, in order."""
    groups = _layers_by_path(plan) if plan.target is None else _layers_by_target(plan, plan.target)
    if not groups.get(TOP_LEVEL, True):
        del groups[TOP_LEVEL]  # empty, it keeps Keras 3.0 to 3.6 from loading by name
    return groups


def _layers_by_target(plan: Plan, target: Inventory) -> LayerGroups:
    assigned = {each.variable.path: each for each in plan.assignments if each.variable is not None}
    homeless = [variable.path for variable in target.variables if not _has_own(variable)]
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
        for layer, weights in groups_of(target).items()
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
    from remap.formats.containers.hdf5 import Dataset

    places: dict[int, list[str]] = {}
    assignments: dict[int, Assignment] = {}
    for layer, weights in groups.items():
        for name, assignment in weights:
            assignments[id(assignment)] = assignment
            places.setdefault(id(assignment), []).append(f"{layer}/{name}")
    problems = [
        Problem(
            "the legacy .h5 layout has no such element type",
            where=assignment.name,
            found=assignment.dtype.name,
            fix="write .weights.h5, or choose --dtype float32",
        )
        for assignment in assignments.values()
        if _stored(assignment.dtype) is None
    ]
    if problems:
        raise UsageError(problems)
    return [
        Dataset(paths[0], assignments[key], _stored(assignments[key].dtype) or assignments[key].dtype, tuple(paths[1:]))
        for key, paths in places.items()
    ]


def _stored(dtype: np.dtype) -> np.dtype | None:
    """How the file holds an element type: bfloat16, which it lacks, as float32; None for what it cannot hold."""
    if dtype.name == "bfloat16":
        return np.dtype(np.float32)
    return None if dtype.name.startswith("float8") else dtype


def _put_names(group: h5py.Group, name: str, items: Sequence[str]) -> None:
    """A list of names as an attribute, or as ``name0``, ``name1`` ... where one cannot hold it."""
    array = np.asarray([item.encode() for item in items]) if items else np.zeros(0, "S1")
    count = 1
    while any(part.nbytes > ATTRIBUTE_BYTES for part in np.array_split(array, count)):
        count += 1
    for number, part in enumerate(np.array_split(array, count)):
        group.attrs[name if count == 1 else f"{name}{number}"] = part
