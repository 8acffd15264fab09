"""Whether what a MODEL or TORCH argument names is there, told before any of it is imported."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from remap.errors import TargetError
from remap.sides.framework import PACKAGE_OF_MODULE, missing_package
from remap.sides.usercode import file_missing, module_missing

ARCHITECTURES = (".keras", ".json")
PROGRAMS = (".pt2", ".pt", ".pth", ".ts", ".jit", ".torchscript")


def check_model(spec: str) -> None:
    """Raise where the file or package of a Keras model is missing.

    Raises:
        TargetError: It is.
        MissingPackageError: It is a package that pip has under a name that is known.
    """
    if Path(spec).suffix in ARCHITECTURES and not Path(spec).is_file():
        raise TargetError("the model's file is not found", where=spec)
    _check(spec)


def check_network(spec: str) -> None:
    """The same of a PyTorch model; PyTorch itself is looked for too.

    Raises:
        TargetError: Its file or package is missing.
        MissingPackageError: PyTorch is, or a package that pip has under a name that is known.
    """
    if not _installed("torch"):
        raise missing_package("torch", wanted_by="torch")
    if Path(spec).suffix in PROGRAMS and ":" not in spec and not Path(spec).is_file():
        raise TargetError("the PyTorch model's file is not found", where=spec)
    _check(spec)


def _check(spec: str) -> None:
    """Of ``package.module:callable`` the package, since looking for a module in it imports it."""
    location, _, attribute = spec.rpartition(":")
    if not location or not attribute:
        return
    if location.endswith(".py"):
        if not Path(location).is_file():
            raise file_missing(spec, Path(location))
        return
    package = location.partition(".")[0]
    if not _installed(package):
        raise (
            missing_package(package, wanted_by=location)
            if package in PACKAGE_OF_MODULE
            else module_missing(spec, package)
        )


def _installed(package: str) -> bool:
    """Whether a package can be found, here or in the working folder."""
    if package in sys.modules:
        return sys.modules[package] is not None
    here = Path.cwd()
    if (here / f"{package}.py").is_file() or (here / package).is_dir():
        return True
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
