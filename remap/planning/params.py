"""Values of a rule file's ``[params]``: given, read from a file beside the checkpoint, told by the names on either
side, or the default."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from remap.errors import PlanError, Problem, RemapError, UsageError
from remap.inventory.inventory import Inventory
from remap.layout.expression import Size
from remap.rules.pattern import Patterns
from remap.rules.rulefile import RuleFile
from remap.rules.schema import Param
from remap.tensors.locate import locate
from remap.tensors.location import Location

Scalar = int | float | str
MAX_JSON = 1 << 26


def resolve_params(
    rules: RuleFile,
    given: Mapping[str, Scalar],
    beside: Path | str,
    keys: Collection[str] = (),
    target: Inventory | None = None,
) -> dict[str, Scalar]:
    """The value of every parameter that has one.

    Args:
        rules: The rule file.
        given: Values from the caller (``--set``); they win.
        beside: The checkpoint's file, folder or URL; ``from = "config.json:hidden_size"`` is read next to it.
        keys: The checkpoint's keys, which ``keys`` looks at.
        target: The model, whose variables ``target`` looks at.

    Raises:
        UsageError: A given name is no parameter.
        PlanError: A file that a parameter is read from is not valid JSON, or the target tells several values.
    """
    for name in given:
        if name not in rules.params:
            close = get_close_matches(name, list(rules.params), n=1)
            raise UsageError(
                f"the rule file has no parameter '{name}'",
                where=str(rules.path),
                expected=f"one of: {', '.join(rules.params) or 'it has none'}",
                fix=f"did you mean '{close[0]}'?" if close else "",
            )
    place = locate(beside) if any(param.source for param in rules.params.values()) else None
    files: dict[str, Any] = {}
    values: dict[str, Scalar] = {}
    for name, param in rules.params.items():
        value = given.get(name)
        if value is None and param.source is not None and place is not None:
            file, _, dotted = param.source.partition(":")
            if file not in files:
                files[file] = _read_json(place, file)
            value = _dig(files[file], dotted)
        if value is None:
            value = _told_by_keys(param, keys)
        if value is None and target is not None:
            value = _told_by_target(name, param, target)
        value = param.default if value is None else value
        if value is not None:
            values[name] = value
    return values


def _told_by_keys(param: Param, keys: Collection[str]) -> Scalar | None:
    """The value of the first of the parameter's patterns that some key fits."""
    patterns = Patterns(param.keys)
    hits = {hit for key in keys for hit in patterns.match(key)} if param.keys else set()
    return list(param.keys.values())[min(hits)] if hits else None


def _told_by_target(name: str, param: Param, target: Inventory) -> str | None:
    """What the parameter's pattern captures in the target's names."""
    if param.target is None:
        return None
    patterns = Patterns([param.target])
    names = {name for variable in target.variables for name in (variable.path, variable.address)}
    told = {"".join(patterns.captures(0, each).values()) for each in names if patterns.match(each)}
    if len(told) > 1:
        raise PlanError(
            f"the model tells several values of the parameter '{name}'",
            where=param.target,
            found=", ".join(sorted(told)[:4]),
            fix=f"give it with --set {name}=VALUE",
        )
    return next(iter(told), None)


def sizes_of(named: Mapping[str, Size], params: Mapping[str, Scalar]) -> dict[str, int]:
    """Sizes of axes: parameters that are whole numbers, by their own name, then what ``named`` says.

    Raises:
        PlanError: A size names a parameter that has no value, or none that is a whole number.
    """
    sizes = {name: value for name, value in params.items() if isinstance(value, int)}
    for axis, size in named.items():
        value = params.get(size) if isinstance(size, str) else size
        if not isinstance(value, int):
            raise PlanError(
                f"the size of axis '{axis}' is not known",
                found=f"parameter '{size}' is {value!r}",
                fix=f"give it with --set {size}=NUMBER",
            )
        sizes[axis] = value
    return sizes


def _read_json(beside: Location, name: str) -> Any:
    file = (beside if beside.is_folder() else beside.parent()).child(name)
    if not file.exists():
        return None
    try:
        blob = file.blob()
        return json.loads(blob.read(0, min(blob.size, MAX_JSON)))
    except (RemapError, ValueError) as error:
        raise PlanError(Problem("cannot read the parameters", where=file.name, found=str(error))) from error


def _dig(value: Any, dotted: str) -> Scalar | None:
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int | float | str) else None
