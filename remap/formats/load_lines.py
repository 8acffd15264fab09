"""The Python that gives a model the values of a file that no ``load_weights`` reads."""

from __future__ import annotations

from remap.inventory.inventory import EXPORTED
from remap.planning.plan import Plan

PATH = 'variable.path.removeprefix(f"{model.name}/")'
PATH_KERAS_2 = 'variable.name.removesuffix(":0").removeprefix(f"{model.name}/")'
FLOAT8 = "# on Keras's torch backend assign float8 as .astype('float32'), which holds every number of it"


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


def has_float8(plan: Plan) -> bool:
    """Whether any variable is written as float8, which not every reader knows."""
    return any(assignment.dtype.name.startswith("float8") for assignment in plan.assignments)


def _assign(lookup: str, path: str) -> str:
    return f"for variable in model.weights:\n    variable.assign({lookup.format(path)})"


def _float8(plan: Plan | None) -> str:
    """What to know of float8: Keras's torch backend (3.15) takes no such arrays of numpy, and float32 holds each."""
    return f"\n{FLOAT8}" if plan is not None and has_float8(plan) else ""
