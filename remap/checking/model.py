"""Checking a written file in the user's own model: Keras loads it, every variable is read back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from remap.checking.compare import Checked, VariableFault, as_numpy, compare, planned_array
from remap.checking.readers import read_back
from remap.errors import CheckError, Problem, RemapError, TargetError
from remap.formats.tensorflow.tf_bundle import index_of, is_object_based
from remap.inventory.inventory import Inventory
from remap.planning.plan import Plan
from remap.sides.keras.keras_model import build_model, identify
from remap.sides.keras.layers import walk
from remap.sides.keras.spec import ModelSource
from remap.tensors.location import LocalPath
from remap.writing.write import output_format

SHOWN = 20
WRONG = {VariableFault.SHAPE: "another shape", VariableFault.MISSING: "no such variable in the file"}


def check_file(
    plan: Plan,
    path: Path,
    source: ModelSource,
    progress: Callable[[int], None] | None = None,
    format: str | None = None,
) -> Checked:
    """Load a file into a freshly built model by Keras's own ``load_weights`` and compare every variable.

    Formats that Keras does not load are read back by their own public readers instead.

    Args:
        plan: What the file should hold; it must know its target.
        path: The file.
        source: Builds the model.
        progress: Called with the bytes compared.
        format: Output format, where the name does not tell.

    Raises:
        CheckError: The file does not load, or a variable is not as planned.
    """
    started = time.perf_counter()
    name = output_format(path, format)
    index = index_of(LocalPath(path))
    if name == "tf_name" and format is None and index is not None and is_object_based(index):
        name = "tf_object"
    try:
        live = read_back(plan, path, name, source)
    except RemapError:
        raise
    except Exception as error:
        raise CheckError(
            "the file does not load",
            where=str(path),
            found=f"{type(error).__name__}: {error}",
            expected=f"a file for {source.spec}",
        ) from error
    checked = replace(compare(plan, live, progress), seconds=time.perf_counter() - started)
    if not checked.equal:
        raise CheckError(
            [
                Problem(
                    "a variable is not what the plan says",
                    difference.name,
                    found=f"{difference.elements} elements differ, by at most {difference.largest:g}"
                    if difference.what is VariableFault.VALUES
                    else WRONG[difference.what],
                    expected="every bit equal",
                )
                for difference in checked.differences
            ]
        )
    return checked


def initial_values(source: ModelSource, inventory: Inventory) -> Callable[[Any], Any]:
    """Reads the initial values of a model that is built when the first one is asked for; those of an archive are
    the archive's own."""
    built: dict[str, Any] = {}

    def read(variable: Any) -> Any:
        if not built:
            model = build_model(source)
            if source.spec.endswith(".keras"):
                model.load_weights(source.spec)
            built.update(identify(model, inventory))
        return as_numpy(built[variable.path])

    return read


def settle(model: Any) -> None:
    """Let layers know that their variables were assigned: Normalization computes with copies of its own."""
    for layer, _ in walk(model):
        if hasattr(layer, "finalize_state") and layer.weights:
            layer.finalize_state()


def assign_all(plan: Plan, model: Any) -> Checked:
    """Put a plan's values into a live model, then read every variable back and compare.

    Raises:
        TargetError: The model has not the variables that the plan was made for; nothing was assigned.
        CheckError: A variable does not hold what was assigned.
    """
    started = time.perf_counter()
    live = identify(model, plan.target)
    missing = [assignment.name for assignment in plan.assignments if assignment.name not in live]
    if missing:
        raise TargetError("the model has changed since it was looked at", found=", ".join(missing[:SHOWN]))
    moved = [assignment for assignment in plan.assignments if assignment.kind != "kept"]
    for assignment in moved:
        live[assignment.name].assign(_assignable(planned_array(assignment)))
        assignment.value.release()
    settle(model)
    checked = compare(replace(plan, assignments=tuple(moved)), live)
    if not checked.equal:
        raise CheckError([Problem("a variable does not hold what was assigned", d.name) for d in checked.differences])
    return replace(checked, seconds=time.perf_counter() - started)


def _assignable(array: np.ndarray) -> np.ndarray:
    """What every backend takes: Keras's torch backend (3.15) takes no float8 of numpy, and float32 holds each."""
    return array.astype(np.float32) if array.dtype.name.startswith("float8") else array
