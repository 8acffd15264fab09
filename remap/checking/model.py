"""Checking a written file in the user's own model: Keras loads it, every variable is read back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from remap.checking.compare import Checked, VariableFault, compare
from remap.checking.readers import ModelRestorer
from remap.errors import CheckError, Problem, RemapError
from remap.formats.format import Format
from remap.formats.output import format_of_file, output_format
from remap.inventory.inventory import Inventory
from remap.planning.plan import Plan
from remap.sides.keras.keras_model import build_model, identify
from remap.sides.keras.spec import ModelSource
from remap.tensors.to_numpy import to_numpy

WRONG = {VariableFault.SHAPE: "another shape", VariableFault.MISSING: "no such variable in the file"}


def check_file(
    plan: Plan,
    path: Path,
    source: ModelSource,
    progress: Callable[[int], None] | None = None,
    format: str | Format | None = None,
) -> Checked:
    """Load a file into a freshly built model by Keras's own ``load_weights`` and compare every variable.

    Formats that Keras does not load are read back by their own public readers instead.

    Args:
        plan: What the file should hold; it must know its target.
        path: The file.
        source: Builds the model.
        progress: Called with the bytes compared.
        format: The format or its name; the file itself tells if None.

    Raises:
        CheckError: The file does not load, or a variable is not as planned.
        CheckpointError: The checkpoint was replaced since the plan was made.
    """
    started = time.perf_counter()
    form = format_of_file(path) if format is None else output_format(path, format)
    try:
        live = form.read_back(plan, path, ModelRestorer(plan, source))
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
    plan.checkpoint.demand_unchanged()
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
        return to_numpy(built[variable.path])

    return read
