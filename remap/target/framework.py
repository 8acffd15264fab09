"""The one place where remap's target side imports Keras."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
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
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in PACKAGE_OF_MODULE:
            raise
        raise missing_package(error.name, wanted_by=name) from error


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
