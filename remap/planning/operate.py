"""Carrying out named operations, and a user's own functions where that is allowed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from remap.errors import PlanError
from remap.layout.axes import AxesError
from remap.layout.ops import OPERATIONS, Operation, Option
from remap.layout.tiles import Source
from remap.planning.derived import Derived
from remap.tensors.dtypes import working_dtype


def operation(name: str) -> Operation:
    """The operation of that name.

    Raises:
        PlanError: There is none.
    """
    if name not in OPERATIONS:
        close = get_close_matches(name, list(OPERATIONS), n=1)
        raise PlanError(
            f"unknown operation '{name}'",
            expected=f"one of: {', '.join(OPERATIONS)}",
            fix=f"did you mean '{close[0]}'?" if close else "",
        )
    return OPERATIONS[name]


def operate(name: str, inputs: Mapping[str, Source], given: Mapping[str, Option], result: str, where: str) -> Derived:
    """The result of an operation, computed when read.

    Args:
        name: The operation.
        inputs: Its inputs by name.
        given: Settings that are not the default.
        result: What the new tensor is called.
        where: The place to report.

    Raises:
        PlanError: An input or a setting is unknown or missing, or the shapes do not fit.
    """
    found = operation(name)
    unknown = [key for key in inputs if key not in found.inputs] + [key for key in given if key not in found.options]
    missing = [key for key in found.inputs if key not in inputs and key not in found.optional]
    if unknown or missing:
        raise PlanError(
            f"operation '{name}' has other inputs",
            where=where,
            found=", ".join([*(f"unknown {key}" for key in unknown), *(f"missing {key}" for key in missing)]),
            expected=f"{', '.join(found.inputs)}; settings: {', '.join(found.options) or 'none'}",
        )
    options = {**found.options, **given}
    for key, value in options.items():
        if isinstance(value, str) and not isinstance(found.options[key], str):
            raise PlanError(
                f"setting '{key}' of operation '{name}' is not known",
                where=where,
                found=f"'{value}' names neither a size of the rule nor a parameter",
                fix=f"say sizes = {{ {value} = NUMBER }} in the rule",
            )
    names = list(inputs)
    try:
        shape = found.shape({key: source.shape for key, source in inputs.items()}, options)
    except AxesError as error:
        raise PlanError(f"operation '{name}' does not fit", where=where, found=str(error)) from error

    def compute(arrays: list[np.ndarray]) -> np.ndarray:
        return found.compute(dict(zip(names, arrays, strict=True)), options)

    first = inputs[found.inputs[0]]
    return Derived(result, shape, working_dtype(first.dtype), list(inputs.values()), compute)


@dataclass(frozen=True, slots=True)
class Caller:
    """Runs functions that a rule file names, if the user has allowed it.

    Args:
        allowed: Whether ``--allow-code`` was given.
    """

    allowed: bool

    def call(self, spec: str, sources: Sequence[Source], where: str) -> Derived:
        """The result of ``module:function`` on the sources, computed when read.

        The function gets one array for each source (floats as float64) and returns one. It is tried once
        on zeros to learn the shape of its result.

        Raises:
            PlanError: Code is not allowed, the function is not there, or it fails on zeros.
        """
        if not self.allowed:
            raise PlanError(
                "the rule file runs code of its own",
                where=where,
                found=f'call = "{spec}"',
                fix="read that function; if you trust it, add --allow-code",
            )
        function = _function(spec, where)
        zeros = [np.broadcast_to(np.zeros((), source.dtype), source.shape).astype(np.float64) for source in sources]
        try:
            shape = np.asarray(function(*zeros)).shape
        except Exception as error:
            raise PlanError(
                f"{spec} failed on zeros",
                where=where,
                found=f"{type(error).__name__}: {error}",
                expected="a function of one array a source that returns an array",
            ) from error
        return Derived(
            f"{spec} of {where}", shape, working_dtype(sources[0].dtype), sources, lambda arrays: function(*arrays)
        )


def _function(spec: str, where: str) -> Callable[..., Any]:
    module, _, name = spec.partition(":")
    try:
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
    except (ImportError, AttributeError, ValueError) as error:
        raise PlanError(
            "cannot find the function", where=where, found=f'call = "{spec}": {error}', expected="module:function"
        ) from error
