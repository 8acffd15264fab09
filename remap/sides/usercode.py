"""Importing code of the user's: modules by name or by file, failures told as theirs."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from remap.errors import RemapError, TargetError
from remap.sides.keras.framework import (
    PACKAGE_OF_MODULE,
    import_module,
    missing_package,
    prepare_process,
    quiet_imports,
)


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
        raise TargetError(
            "the model's module is not found",
            where=spec,
            found=f"no module named {missing!r}",
            expected="a module that Python can import from here",
            fix="run from its folder, install its package, or give the file: path/to/file.py:callable",
        ) from error
    except (Exception, SystemExit) as error:
        raise user_failure("the model's module fails on import", spec, error) from error


def module_from_file(spec: str, path: Path) -> ModuleType:
    """The module in a file, which may import its neighbours.

    Raises:
        TargetError: There is no such file, or it fails on import.
        MissingPackageError: A package that it needs is not installed.
    """
    if not path.is_file():
        raise TargetError("the model's file is not found", where=spec, found=f"no file {path}")
    prepare_process()
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None and found.loader is not None, path
    module = importlib.util.module_from_spec(found)
    previous = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        with quiet_imports():
            found.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise missing_package((error.name or "").split(".")[0], wanted_by=str(path)) from error
    except (Exception, SystemExit) as error:
        raise user_failure("the model's file fails on import", spec, error) from error
    finally:
        if previous is not None:
            sys.modules[path.stem] = previous
    return module


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
    return outside or path.parent == Path(__file__).parent


def first_lines(text: str, count: int = 6) -> str:
    """The start of a text, the rest shown as left out."""
    lines = text.strip().splitlines()
    return "\n    ".join(lines[:count] + (["..."] if len(lines) > count else []))
