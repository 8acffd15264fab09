"""From the user's MODEL (``package.module:callable``, ``file.py:callable``, ``.keras``, ``.json``, SavedModel) to a
builder."""

from __future__ import annotations

import json
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from remap.errors import RemapError, TargetError, UsageError
from remap.sides.framework import import_keras
from remap.sides.keras.layers import is_model, kind_of
from remap.sides.keras.saved_model import Exported, is_saved_model, saved_model_builder
from remap.sides.usercode import first_lines, fitting_arguments, object_named, user_failure

FORMS = (
    "package.module:callable, path/to/file.py:callable, a .keras file, an architecture .json, or a SavedModel folder"
)


@dataclass(frozen=True)
class ModelSource:
    """A way to get the user's Keras model, as often as needed.

    Args:
        spec: What the user wrote.
        build: Returns the model: a new one, or the user's own object where ``spec`` names a ready model.
        live: Whether it is the caller's own model, to be taken with the weights that it holds.
    """

    spec: str
    build: Callable[[], Any]
    live: bool = False

    def model(self) -> Any:
        """Build the model and make sure that it is one.

        Raises:
            TargetError: The callable fails, returns something else than a Keras model, or leaves it unbuilt.
        """
        try:
            model = self.build()
        except RemapError:
            raise
        except (Exception, SystemExit) as error:
            raise user_failure("the model could not be built", self.spec, error) from error
        return checked_model(model, self.spec)


def parse_model_args(pairs: Iterable[str]) -> dict[str, object]:
    """Arguments of the model callable from ``name=value`` pairs.

    A value is a TOML literal (``50``, ``1e-3``, ``true``, ``[224, 224, 3]``, ``"text"``), ``none``, or else plain text.

    Raises:
        UsageError: A pair has no ``=``, or no name before it.

    >>> parse_model_args(["classes=10", "include_top=false", "input_shape=[32, 32, 3]", "activation=relu"])
    {'classes': 10, 'include_top': False, 'input_shape': [32, 32, 3], 'activation': 'relu'}
    """
    args = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip().isidentifier():
            raise UsageError("cannot read a model argument", found=pair, expected="name=value")
        args[name.strip()] = _literal(text.strip())
    return args


def _literal(text: str) -> object:
    if text.lower() == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except tomllib.TOMLDecodeError:
        return text


def load_model_builder(spec: str, args: Mapping[str, object] | None = None) -> ModelSource:
    """Resolve ``spec`` without building the model yet.

    Args:
        spec: ``package.module:callable`` (a function, a model class or a ready model), ``path/to/file.py:callable``,
            a ``.keras`` file or an architecture ``.json``, which give the architecture alone, not its weights; or the
            folder of a SavedModel, see :mod:`remap.sides.keras.saved_model`.
        args: Keyword arguments for the callable. Where the callable has a parameter ``weights`` whose default would
            download published weights, it gets ``weights=None`` unless given here.

    Raises:
        TargetError: There is no such file, module or attribute, or the arguments do not fit the callable.
        MissingPackageError: Keras or a package that the model needs is not installed.
    """
    args = dict(args or {})
    path = Path(spec)
    if path.suffix in (".keras", ".json"):
        if args:
            raise TargetError("an architecture file takes no arguments", where=spec, found=", ".join(args))
        return ModelSource(spec, _architecture(path))
    if path.suffix == ".py":
        raise TargetError(
            "the model file needs the name of a callable", where=spec, expected=f"{spec}:build_model", fix="append it"
        )
    if path.is_dir() and is_saved_model(path):
        if args:
            raise TargetError("a SavedModel takes no arguments", where=spec, found=", ".join(args))
        return ModelSource(spec, saved_model_builder(path))
    if path.is_dir():
        raise TargetError("this folder is no model", where=spec, found="no saved_model.pb in it", expected=FORMS)
    return ModelSource(spec, _builder(spec, args))


def _builder(spec: str, args: dict[str, object]) -> Callable[[], Any]:
    named = object_named(spec, FORMS)
    if is_model(named):
        if args:
            raise TargetError("a ready model takes no arguments", where=spec, found=", ".join(args))
        return lambda: named
    if not callable(named):
        raise TargetError(
            "this is neither a model nor a callable", where=spec, found=type(named).__name__, expected="a Keras model"
        )
    return partial(named, **fitting_arguments(spec, named, args))


def _architecture(path: Path) -> Callable[[], Any]:
    if not path.is_file():
        raise TargetError("the model's file is not found", where=str(path))
    config = _config(path)

    def build() -> Any:
        keras = import_keras()
        try:
            # A copy, since Keras takes the configuration apart.
            return keras.saving.deserialize_keras_object(deepcopy({**config, "compile_config": None}))
        except Exception as error:
            raise TargetError(
                "the architecture cannot be rebuilt from its file",
                where=str(path),
                found=f"{type(error).__name__}: {first_lines(str(error))}",
                fix="with custom layers, give the function that builds the model: path/to/file.py:callable",
            ) from error

    return build


def _config(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                text = archive.read("config.json")
        else:
            text = path.read_bytes()
        config = json.loads(text)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise TargetError(
            "cannot read the architecture", where=str(path), found=str(error), expected="what Keras 3 saves"
        ) from error
    if not isinstance(config, dict) or "class_name" not in config or "config" not in config:
        raise TargetError(
            "this JSON is no Keras architecture", where=str(path), expected="what model.to_json() returns"
        )
    return config


def checked_model(model: Any, spec: str) -> Any:
    """``model``, if it is a Keras model with weights, or a SavedModel.

    Raises:
        TargetError: It is something else, or has not been built.
    """
    if isinstance(model, Exported):
        return model
    if not is_model(model):
        kind = type(model)
        torch = any(base.__module__.startswith("torch.nn") for base in kind.__mro__)
        raise TargetError(
            "the callable does not return a Keras model",
            where=spec,
            found=f"{kind.__module__}.{kind.__qualname__}",
            expected="a keras.Model",
            fix="this is the PyTorch side: name the Keras model here" if torch else "return the model itself",
        )
    if not model.built or not model.weights:
        build = " or model.build(shape)" if kind_of(model) == "sequential" else ""
        raise TargetError(
            "the model has no weights yet",
            where=spec,
            found=f"an unbuilt {type(model).__name__}" if not model.built else "a model without any weight",
            fix=f"build it in the callable: model(keras.Input(shape)){build}, then return it",
        )
    return model
