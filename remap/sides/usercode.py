"""Code of the user's: modules by name or by file, what a spec names in them, failures told as theirs."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from remap.errors import RemapError, TargetError
from remap.sides.framework import PACKAGE_OF_MODULE, import_module, missing_package, prepare_process, quiet_imports


def object_named(spec: str, forms: str) -> Any:
    """What ``package.module:attribute`` or ``file.py:attribute`` names.

    Args:
        spec: What the user wrote.
        forms: What it could have been, for the message.

    Raises:
        TargetError: It is neither form, or there is no such file, module or attribute.
        MissingPackageError: A package that the module needs is not installed.
    """
    location, _, attribute = spec.rpartition(":")
    if location.endswith(".py"):
        return _attribute(spec, module_from_file(spec, Path(location)), attribute)
    if not location or not attribute:
        raise TargetError("cannot tell which model is meant", where=spec, expected=forms)
    return _attribute(spec, module_named(spec, location), attribute)


def _attribute(spec: str, module: ModuleType, path: str) -> Any:
    """An attribute of a module, or of what is in it."""
    value: Any = module
    for part in path.split("."):
        names = [name for name in dir(value) if not name.startswith("_")]
        value = getattr(value, part, None)
        if value is None:
            close = difflib.get_close_matches(part, names, n=3)
            raise TargetError(
                f"{module.__name__} has no {part!r}",
                where=spec,
                fix=f"did you mean {' or '.join(close)}?" if close else "",
            )
    return value


def fitting_arguments(
    spec: str, function: Callable[..., Any], args: dict[str, object], option: str = "--model-arg"
) -> dict[str, object]:
    """The arguments of a callable; ``weights=None`` where it would download published ones by itself.

    Args:
        spec: How messages call it.
        function: The callable.
        args: What the user gave.
        option: What gives an argument on the command line.

    Raises:
        TargetError: The callable takes others.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return args
    weights = signature.parameters.get("weights")
    if weights is not None and isinstance(weights.default, str):
        args = {"weights": None, **args}
    try:
        signature.bind(**args)
    except TypeError as error:
        raise TargetError(
            "the model's callable takes other arguments",
            where=spec,
            found=str(error),
            expected=f"{getattr(function, '__name__', spec)}{signature}",
            fix=f"give them with {option} NAME=VALUE, or name a function that takes none",
        ) from error
    return args


def module_named(spec: str, name: str) -> ModuleType:
    """The module ``name``, which may lie in the working folder.

    Raises:
        TargetError: It is not found, or fails on import.
        MissingPackageError: A package that it needs is not installed.
    """
    prepare_process()
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return import_module(name)
    except RemapError:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.split(".")[0] != name.split(".")[0]:
            raise missing_package(missing.split(".")[0], wanted_by=name) from error
        raise module_missing(spec, missing) from error
    except (Exception, SystemExit) as error:
        raise user_failure("the model's module fails on import", spec, error) from error


def module_from_file(spec: str, path: Path) -> ModuleType:
    """The module in a file, which may import its neighbours.

    Raises:
        TargetError: There is no such file, or it fails on import.
        MissingPackageError: A package that it needs is not installed.
    """
    if not path.is_file():
        raise file_missing(spec, path)
    prepare_process()
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    location = importlib.util.spec_from_file_location(path.stem, path)
    assert location is not None and location.loader is not None, path
    module = importlib.util.module_from_spec(location)
    previous = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        with quiet_imports():
            location.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise missing_package((error.name or "").split(".")[0], wanted_by=str(path)) from error
    except (Exception, SystemExit) as error:
        raise user_failure("the model's file fails on import", spec, error) from error
    finally:
        if previous is not None:
            sys.modules[path.stem] = previous
    return module


def file_missing(spec: str, path: Path) -> TargetError:
    """The error for a file that is not there."""
    return TargetError("the model's file is not found", where=spec, found=f"no file {path}")


def module_missing(spec: str, missing: str) -> TargetError:
    """The error for a module that is not there."""
    return TargetError(
        "the model's module is not found",
        where=spec,
        found=f"no module named {missing!r}",
        expected="a module that Python can import from here",
        fix="run from its folder, install its package, or give the file: path/to/file.py:callable",
    )


def user_failure(what: str, spec: str, error: BaseException) -> TargetError | Exception:
    """``error`` as one problem: its type and message, and the last line of the user's own code that led to it."""
    if isinstance(error, ModuleNotFoundError) and error.name in PACKAGE_OF_MODULE:
        return missing_package(error.name, wanted_by=spec)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename)]
    frame = (own or frames)[-1]
    where = f"{frame.filename}:{frame.lineno} in {frame.name}" if own else ""
    return TargetError(
        what,
        where=f"{spec}, {where}" if where else spec,
        found=f"{type(error).__name__}: {first_lines(str(error))}",
        excerpt=(frame.line or "") if own else "",
    )


def _is_library(filename: str) -> bool:
    path = Path(filename)
    outside = "site-packages" in path.parts or filename.startswith("<") or "importlib" in path.parts
    return outside or Path(__file__).parent in path.parents


def first_lines(text: str, count: int = 6) -> str:
    """The start of a text, the rest shown as left out."""
    lines = text.strip().splitlines()
    return "\n    ".join(lines[:count] + (["..."] if len(lines) > count else []))
