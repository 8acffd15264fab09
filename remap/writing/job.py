"""What a format is given: a plan, a place, and the means to write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from remap.inventory.inventory import EXPORTED
from remap.planning.plan import Plan
from remap.writing.fill import Filler
from remap.writing.staging import Staging, check_free

PATH = 'variable.path.removeprefix(f"{model.name}/")'
PATH_KERAS_2 = 'variable.name.removesuffix(":0").removeprefix(f"{model.name}/")'

SHARD_SIZE = 5.0
FLOAT8 = "# on Keras's torch backend assign float8 as .astype('float32'), which holds every number of it"


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """Settings of single formats.

    Args:
        max_shard_size: Of ``weights_json``: gigabytes (10**9 bytes) of one shard at most, as in Keras.
        model_archive: Of ``keras``: the archive whose model the weights are for.
    """

    max_shard_size: float = SHARD_SIZE
    model_archive: Path | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One output to write.

    Args:
        plan: What to write.
        out: The output as the user named it.
        staging: Where its files wait.
        filler: Renders the variables.
        options: Settings.
        force: Whether existing files are replaced.
    """

    plan: Plan
    out: Path
    staging: Staging
    filler: Filler
    options: FormatOptions
    force: bool

    @property
    def quoted(self) -> str:
        """The output as a Python string literal."""
        return json.dumps(str(self.out), ensure_ascii=False)

    def create(self, path: Path) -> Path:
        """Where to write a file of the output; formats ask for all their files before they fill the first.

        Raises:
            UsageError: It exists and is not to be replaced.
        """
        check_free(path, self.force)
        return self.staging.temporary(path, self.force)


def assign_line(lookup: str, plan: Plan | None = None) -> str:
    """The Python that gives every variable of a model its value, looked up by its path without the model's name.

    Args:
        lookup: The expression that finds a value, ``{}`` where the name stands.
        plan: What is written; where the model's inventory is known: variables of tf_keras have their path in their
            name, several can share one, and a SavedModel has no list of its variables.

    >>> print(assign_line("weights[{}]"))
    for variable in model.weights:
        variable.assign(weights[variable.path.removeprefix(f"{model.name}/")])
    """
    target = plan.target if plan is not None else None
    if target is None:
        return _assign(lookup, PATH) + _float8(plan)
    if target.kind == EXPORTED:
        return f"{lookup.format('name')}  # of each variable of the SavedModel, by its name without the ':0'"
    path = PATH_KERAS_2 if target.is_keras2 else PATH
    if not any("#" in variable.path for variable in target.variables):
        return _assign(lookup, path) + _float8(plan)
    return (
        "seen = {}\nfor variable in model.weights:\n"
        f"    name = {path}\n    seen[name] = seen.get(name, 0) + 1\n"
        '    name += f"#{seen[name]}" if seen[name] > 1 else ""\n'
        f"    variable.assign({lookup.format('name')})" + _float8(plan)
    )


def _assign(lookup: str, path: str) -> str:
    return f"for variable in model.weights:\n    variable.assign({lookup.format(path)})"


def _float8(plan: Plan | None) -> str:
    """What to know of float8: Keras's torch backend (3.15) takes no such arrays of numpy, and float32 holds each."""
    there = plan is not None and any(found.dtype.name.startswith("float8") for found in plan.assignments)
    return f"\n{FLOAT8}" if there else ""
