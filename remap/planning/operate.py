"""Carrying out named operations, and a user's own functions where that is allowed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from remap.errors import PlanError, Problem
from remap.layout.axes import AxesError
from remap.layout.folds import FOLDS
from remap.layout.ops import OPERATIONS, Option, TensorOperation
from remap.layout.tiles import Source
from remap.planning.derived import Derived
from remap.rules.place import Place
from remap.tensors.dtypes import working_dtype


def operation(name: str) -> TensorOperation:
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


@dataclass(frozen=True, slots=True)
class Operated:
    """An operation with its settings.

    Args:
        name: Its key in :data:`OPERATIONS` or :data:`FOLDS`.
        inputs: What it calls the arrays that it gets.
        options: All its settings.
    """

    name: str
    inputs: tuple[str, ...]
    options: Mapping[str, Option]

    def compute(self, arrays: list[np.ndarray]) -> np.ndarray:
        """The result."""
        named = OPERATIONS.get(self.name) or FOLDS[self.name]
        return named.compute(dict(zip(self.inputs, arrays, strict=True)), self.options)


@dataclass(frozen=True, slots=True)
class Called:
    """A function of the user's, imported when it is called.

    Args:
        function: ``module:function``.
        place: The rule that names it, for messages.
        module: The PyTorch module that it works on, for messages.
    """

    function: str
    place: Place
    module: str

    def compute(self, arrays: list[np.ndarray]) -> np.ndarray:
        """What it returns.

        Raises:
            PlanError: It is not there.
        """
        return np.asarray(self.imported()(*arrays))

    def imported(self) -> Callable[..., Any]:
        """The function.

        Raises:
            PlanError: It is not there.
        """
        module, _, name = self.function.partition(":")
        try:
            return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
        except (ImportError, AttributeError, ValueError) as error:
            raise PlanError(
                "cannot find the function",
                found=f'call = "{self.function}": {error}',
                expected="module:function",
                place=self.place,
                subject=self.module,
                names=(self.module,),
            ) from error


def operate(
    name: str, inputs: Mapping[str, Source], given: Mapping[str, Option], result: str, place: Place, subject: str
) -> Derived:
    """The result of an operation, computed when read.

    Args:
        name: The operation.
        inputs: Its inputs by name.
        given: Settings that are not the default.
        result: What the new tensor is called.
        place: The rule to report.
        subject: What of it to report: the module, or the new tensor.

    Raises:
        PlanError: An input or a setting is unknown or missing, or the shapes do not fit.
    """
    at: dict[str, Any] = {"place": place, "subject": subject, "names": (subject,)}
    named = operation(name)
    unknown = [key for key in inputs if key not in named.inputs] + [key for key in given if key not in named.options]
    missing = [key for key in named.inputs if key not in inputs and key not in named.optional]
    if unknown or missing:
        raise PlanError(
            f"operation '{name}' has other inputs",
            **at,
            found=", ".join([*(f"unknown {key}" for key in unknown), *(f"missing {key}" for key in missing)]),
            expected=f"{', '.join(named.inputs)}; settings: {', '.join(named.options) or 'none'}",
        )
    options = {**named.options, **given}
    for key, value in options.items():
        if isinstance(value, str) and not isinstance(named.options[key], str):
            raise PlanError(
                f"setting '{key}' of operation '{name}' is not known",
                **at,
                found=f"'{value}' names neither a size of the rule nor a parameter",
                fix=f"say sizes = {{ {value} = NUMBER }} in the rule",
            )
    try:
        shape = named.shape({key: source.shape for key, source in inputs.items()}, options)
    except AxesError as error:
        raise PlanError(f"operation '{name}' does not fit", found=str(error), **at) from error
    return derived_by(name, inputs, options, result, shape)


def derived_by(
    name: str, inputs: Mapping[str, Source], options: Mapping[str, Option], result: str, shape: tuple[int, ...]
) -> Derived:
    """The result of an operation of :data:`OPERATIONS` or :data:`FOLDS` whose inputs and settings are known to fit.

    Args:
        name: The operation.
        inputs: Its inputs by name.
        options: All its settings.
        result: What the new tensor is called.
        shape: Its shape.
    """
    first = inputs[(OPERATIONS.get(name) or FOLDS[name]).inputs[0]]
    operated = Operated(name, tuple(inputs), options)
    return Derived(result, shape, working_dtype(first.dtype), list(inputs.values()), operated)


def code_refused(function: str, **at: Any) -> Problem:
    """What is said where a rule file names a function of the user's, and that is not allowed."""
    return Problem(
        "the rule file runs code of its own",
        found=f'call = "{function}"',
        fix="read that function; if you trust it, add --allow-code",
        **at,
    )


@dataclass(frozen=True, slots=True)
class Caller:
    """Runs functions that a rule file names, if the user has allowed it.

    Args:
        allowed: Whether ``--allow-code`` was given.
    """

    allowed: bool

    def call(self, spec: str, sources: Sequence[Source], place: Place, module: str, result: str = "") -> Derived:
        """The result of ``module:function`` on the sources, computed when read.

        The function gets one array for each source (floats as float64) and returns one. It is tried once
        on zeros to learn the shape of its result, which is called ``result``, or after the function without one.

        Raises:
            PlanError: Code is not allowed, the function is not there, or it fails on zeros.
        """
        at: dict[str, Any] = {"place": place, "subject": module, "names": (module,)}
        called = Called(spec, place, module)
        if not self.allowed:
            raise PlanError(code_refused(spec, **at))
        function = called.imported()
        zeros = [np.broadcast_to(np.zeros((), source.dtype), source.shape).astype(np.float64) for source in sources]
        try:
            shape = np.asarray(function(*zeros)).shape
        except Exception as error:
            raise PlanError(
                f"{spec} failed on zeros",
                **at,
                found=f"{type(error).__name__}: {error}",
                expected="a function of one array a source that returns an array",
            ) from error
        return Derived(
            result or f"{spec} of {place} ({module})", shape, working_dtype(sources[0].dtype), sources, called
        )
