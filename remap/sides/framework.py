"""The one place where remap's target side imports Keras."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from remap.errors import MissingPackageError

PACKAGE_OF_MODULE = {
    "keras": "remap[tensorflow]",
    "tensorflow": "remap[tensorflow]",
    "tf_keras": "tf_keras",
    "keras_hub": "keras-hub",
    "keras_cv": "keras-cv",
    "keras_nlp": "keras-nlp",
    "torch": "remap[torch]",
    "jax": "jax",
}
"""Modules that may be missing, and what pip calls them."""

_NOTE = re.compile(rb"WARNING: All log messages before absl|[IW]\d{4} [\d:. ]+\S+\.cc:\d+\]")


def import_keras() -> Any:
    """The ``keras`` module, imported so that PyTorch can still be used in the same process.

    TensorFlow, followed by the first import of triton (which torchvision, timm, transformers and ``torch._dynamo``
    bring in), is a segmentation fault; the other order is safe. So triton goes first wherever it is installed.

    Raises:
        MissingPackageError: Keras, or the backend that it is configured for, is not installed.
    """
    prepare_process()
    return import_module("keras")


def prepare_process() -> None:
    """Make a later import of TensorFlow quiet, and safe beside PyTorch. Does nothing the second time."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules or "triton" in sys.modules:
        return
    if importlib.util.find_spec("triton") is not None:
        importlib.import_module("triton")


def import_module(name: str) -> ModuleType:
    """``importlib.import_module``, with a missing framework reported as the package to install."""
    try:
        with quiet_imports():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in PACKAGE_OF_MODULE:
            raise
        raise missing_package(error.name, wanted_by=name) from error


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Leave out what TensorFlow's libraries note on standard error while they load, whatever the log level says.

    Warnings of Python, errors of the libraries and everything else come out when the import is done.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            kept.seek(0)
            said = [line for line in kept.read().splitlines(keepends=True) if not _NOTE.match(line)]
            os.write(2, b"".join(said))


def missing_package(module: str, wanted_by: str) -> MissingPackageError:
    """The error for a ``module`` that is not installed, with the line that installs it.

    >>> print(missing_package("keras_hub", wanted_by="keras_hub.models"))
    the package 'keras_hub' is not installed
      at import of keras_hub.models
      fix: pip install "keras-hub"
    """
    fix = f'pip install "{PACKAGE_OF_MODULE.get(module, module)}"'
    if module == "tensorflow":
        fix += ", or choose a backend that is installed: KERAS_BACKEND=torch or KERAS_BACKEND=jax"
    return MissingPackageError(f"the package {module!r} is not installed", where=f"import of {wanted_by}", fix=fix)
