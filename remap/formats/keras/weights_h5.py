"""Keras 3's ``.weights.h5`` layout: a group for every object that has variables, numbered datasets in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remap.errors import Problem, UsageError
from remap.formats.contents import Contents
from remap.formats.format import Format, FormatOptions, Restorer, quoted
from remap.formats.keras import keras_h5
from remap.formats.sheet import Sheet
from remap.formats.unread import Unread

if TYPE_CHECKING:
    import h5py

    from remap.formats.containers.hdf5 import Dataset
    from remap.inventory.inventory import Inventory, Variable
    from remap.planning.plan import Plan

KERAS_2 = "before the model is trained: tf_keras would look for its metrics in the file"


class KerasWeights(Format):
    """What the formats have in common that hold the datasets of ``.weights.h5`` and that ``load_weights`` reads."""

    is_target = True
    by_layer = True

    def read_back(self, plan: Plan, path: Path, restorer: Restorer) -> Mapping[str, Any]:
        return restorer.load_weights(path)

    def plain_names(self, names: Iterable[str], inventory: Inventory | None) -> dict[str, str]:
        known = (
            {} if inventory is None else {place: each.path for each in inventory.variables for place in _places(each)}
        )
        return {name: known.get(name, name) for name in names}


class WeightsH5(KerasWeights):
    """One HDF5 file. It reads legacy files too, which begin alike."""

    name = "weights_h5"
    title = "Keras weights.h5"
    suffixes = (".weights.h5",)
    label = ".weights.h5"

    def recognise(self, file: Unread) -> bool:
        return file.head.startswith(keras_h5.MAGIC)

    def read(self, file: Unread) -> Contents:
        return keras_h5.read(file.blob)

    def lay_out(self, plan: Plan, out: Path, options: FormatOptions) -> Sheet:
        """One file.

        Raises:
            UsageError: The model is not known, or a variable has an element type that Keras does not restore.
        """
        from remap.formats.containers.hdf5 import hdf5_file

        return Sheet((hdf5_file(out, datasets_of(plan), describe),))

    def load_lines(self, plan: Plan, out: Path, options: FormatOptions) -> str:
        line = f"model.load_weights({quoted(out)})"
        return f"{line}  # {KERAS_2}" if plan.target is not None and plan.target.is_keras2 else line

    def places(self, name: str, variable: Variable | None) -> tuple[str, ...]:
        return () if variable is None else _places(variable)


WEIGHTS_H5 = WeightsH5()


def datasets_of(plan: Plan) -> list[Dataset]:
    """Every variable's dataset, in the order in which Keras saves them where that is known.

    Raises:
        UsageError: As :meth:`WeightsH5.lay_out`.
    """
    from remap.formats.containers.hdf5 import Dataset

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
    datasets: list[Dataset] = []
    for assignment in plan.assignments:
        paths = _places(assignment.variable) if assignment.variable is not None else ()
        if paths:
            datasets.append(Dataset(paths[0], assignment, assignment.dtype, paths[1:]))
        else:
            problems.append(Problem("Keras does not save this variable in .weights.h5", where=assignment.name))
    if problems:
        raise UsageError(problems)
    return datasets


def describe(file: h5py.File) -> None:
    """Make what every file has beside its datasets."""
    file.create_group("vars")  # Keras 3.0 to 3.5 look for the root's own variables even where there are none


def _places(variable: Variable) -> tuple[str, ...]:
    """The datasets that hold a variable; more than one where Keras stores it twice."""
    return tuple(path for (path,) in variable.at(WEIGHTS_H5.name))
