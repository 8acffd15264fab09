"""Values of a rule file's ``[params]``: given, read from a file beside the checkpoint, or the default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from remap.errors import PlanError, Problem, UsageError
from remap.rules.rulefile import RuleFile
from remap.rules.schema import Size

Scalar = int | float | str


def resolve_params(rules: RuleFile, given: Mapping[str, Scalar], beside: Path) -> dict[str, Scalar]:
    """The value of every parameter that has one.

    Args:
        rules: The rule file.
        given: Values from the caller (``--set``); they win.
        beside: The checkpoint's file or folder; ``from = "config.json:hidden_size"`` is read next to it.

    Raises:
        UsageError: A given name is no parameter.
        PlanError: A file that a parameter is read from is not valid JSON.
    """
    for name in given:
        if name not in rules.params:
            close = get_close_matches(name, list(rules.params), n=1)
            raise UsageError(
                f"the rule file has no parameter '{name}'", where=str(rules.path),
                expected=f"one of: {', '.join(rules.params) or 'it has none'}",
                fix=f"did you mean '{close[0]}'?" if close else "",
            )  # fmt: skip
    folder = beside if beside.is_dir() else beside.parent
    files: dict[str, Any] = {}
    found: dict[str, Scalar] = {}
    for name, param in rules.params.items():
        value = given.get(name)
        if value is None and param.source is not None:
            file, _, dotted = param.source.partition(":")
            if file not in files:
                files[file] = _read_json(folder / file)
            value = _dig(files[file], dotted)
        value = param.default if value is None else value
        if value is not None:
            found[name] = value
    return found


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
                f"the size of axis '{axis}' is not known", found=f"parameter '{size}' is {value!r}",
                fix=f"give it with --set {size}=NUMBER",
            )  # fmt: skip
        sizes[axis] = value
    return sizes


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PlanError(Problem("cannot read the parameters", where=str(path), found=str(error))) from error


def _dig(value: Any, dotted: str) -> Scalar | None:
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int | float | str) else None
