"""The inventory of a live Keras model, and the way back from the inventory to its variables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from remap.errors import Problem, RemapError, TargetError
from remap.formats.keras.legacy_h5 import LEGACY_H5, LegacyPlace, as_recorded
from remap.formats.keras.weights_h5 import WEIGHTS_H5
from remap.formats.tensorflow.tf_object import TF_OBJECT
from remap.inventory.inventory import Inventory, Layer, StoredPlace, Variable
from remap.sides.framework import import_keras
from remap.sides.keras.family import family_of
from remap.sides.keras.h5_paths import datasets_of
from remap.sides.keras.layers import graph_inputs, is_model, kind_of, settings_of
from remap.sides.keras.lazy import is_lazy, without_weights
from remap.sides.keras.live import clear_sessions, dtype_name, framework_of, path_of
from remap.sides.keras.saved_model import Exported, exported_inventory, identify_exported
from remap.sides.keras.spec import ModelSource, checked_model
from remap.sides.keras.survey import Legacy, Survey
from remap.sides.keras.tracking import tracking_of
from remap.tensors.to_numpy import to_numpy


def inventory_of(source: ModelSource | Callable[[], Any] | Any, name: str = "") -> Inventory:
    """List the variables and layers of a Keras 3 or tf_keras model.

    Args:
        source: A model source or a function that builds the model, which is then built without allocating its weights
            (BERT-large: 0.2 s and a few MB; tf_keras cannot do that); or a built model, taken as it is.
        name: What :attr:`Inventory.model` says; the source's own spec if empty.

    Raises:
        TargetError: The model cannot be built, is no Keras model, has no weights, or stores what is no variable.

    A factory that cannot run without weights (one that loads or predicts) is run again with them, and a note in the
    inventory says so. Before building, Keras's global state is cleared, so that automatic names start afresh.
    """
    if isinstance(source, ModelSource):
        return _inventory_by_building(source, name or source.spec)
    if is_model(source):
        return _inventory(checked_model(source, name), name)
    return _inventory_by_building(ModelSource(name or getattr(source, "__name__", "the model"), source), name)


def build_model(source: ModelSource) -> Any:
    """A real model, with fresh automatic names.

    Raises:
        TargetError: As for :func:`inventory_of`.
    """
    import_keras()
    clear_sessions()
    model = source.model()
    if any(is_lazy(variable) for variable in model.weights):
        raise TargetError(
            "the callable returns the same model again",
            where=source.spec,
            expected="a new model at every call",
            fix="take the cache off the function that builds it",
        )
    return model


def identify(model: Any, inventory: Inventory | None = None) -> dict[str, Any]:
    """Path -> live ``keras.Variable``, in the order of the model's inventory.

    Args:
        model: A built model.
        inventory: One taken earlier: its paths are then the keys, whatever Keras calls the variables by now. They are
            matched by their place in ``.weights.h5``, which depends on the architecture alone; one that is not stored
            there (a layer may save nothing, or in a way of its own) by its address.

    Raises:
        TargetError: The model is not the one of the inventory: a variable has no counterpart, or another shape.
    """
    if isinstance(model, Exported):
        return identify_exported(model, inventory)
    survey = Survey(checked_model(model, inventory.model if inventory else ""))
    if inventory is None:
        return dict(zip(survey.paths, survey.variables, strict=True))
    h5_places = _h5_places(survey, inventory.model)
    live: dict[tuple[StoredPlace, ...] | str, Any] = {
        tuple((path,) for path in h5_places[id(variable)]) or address: variable
        for variable, address in zip(survey.variables, survey.addresses, strict=True)
    }
    own = {known.path: known.at(WEIGHTS_H5.name) or known.address for known in inventory.variables}
    problems = [
        Problem(
            "the model lacks a variable of the inventory",
            where=known.path,
            found=_told(live.get(own[known.path])),
            expected=f"shape {known.shape}",
        )
        for known in inventory.variables
        if own[known.path] not in live or tuple(live[own[known.path]].shape) != known.shape
    ]
    expected = set(own.values())
    problems += [
        Problem("the model has a variable that the inventory lacks", where=path_of(variable))
        for place, variable in live.items()
        if place not in expected
    ]
    if problems:
        raise TargetError(problems)
    return {path: live[place] for path, place in own.items()}


def _places(datasets: Sequence[str], legacy: Legacy, key: str | None) -> dict[str, tuple[StoredPlace, ...]]:
    """Where a variable is kept, by format; formats that have no place for it are left out."""
    own = [] if legacy.first is None else [LegacyPlace(*legacy.first)]
    places: dict[str, tuple[StoredPlace, ...]] = {
        WEIGHTS_H5.name: tuple((path,) for path in datasets),
        LEGACY_H5.name: as_recorded([*own, *legacy.copies]),
        TF_OBJECT.name: () if key is None else ((key,),),
    }
    return {format: kept for format, kept in places.items() if kept}


def _told(variable: Any) -> str:
    return "no variable in its place" if variable is None else f"{path_of(variable)}, shape {tuple(variable.shape)}"


def _inventory_by_building(source: ModelSource, name: str) -> Inventory:
    keras = import_keras()
    clear_sessions()
    notes: tuple[str, ...] = ()
    try:
        with without_weights(keras) as scope:
            return _inventory(source.model(), name, assigned=scope.get_current_value)
    except RemapError as error:
        notes = (f"Built with its weights in memory, since it does not build without them: {_cause(error)}",)
    finally:
        clear_sessions()  # else the next real build would allocate the weights that were left out
    return _inventory(build_model(source), name, notes=notes)


def _cause(error: RemapError) -> str:
    problem = error.problems[0]
    return (problem.found or problem.what).splitlines()[0]


def _inventory(
    model: Any, name: str, notes: tuple[str, ...] = (), assigned: Callable[[Any], Any] = lambda variable: None
) -> Inventory:
    if isinstance(model, Exported):
        return exported_inventory(model, name)
    survey = Survey(model)
    keras = framework_of(model)
    tracking = tracking_of(model)
    h5_places = _h5_places(survey, name)
    variables = [
        Variable(
            path=path,
            address=place,
            shape=tuple(int(size) for size in variable.shape),
            dtype=dtype_name(variable),
            layer=owner,
            initial=_initial(keras, variable, survey.layers[owner]) if assigned(variable) is None else None,
            places=_places(h5_places[id(variable)], legacy, tracking.keys.get(id(variable))),
        )
        for variable, path, place, owner, legacy in zip(
            survey.variables, survey.paths, survey.addresses, survey.owners, survey.legacy, strict=True
        )
    ]
    return Inventory(
        model=name,
        variables=tuple(variables),
        layers=_layers(survey),
        kind=kind_of(model),
        keras_version=keras.__version__,
        legacy_layers=survey.top_level_names(),
        notes=(*notes, *_doubts(survey)),
        tf_unknown=tracking.unknown,
    )


def _doubts(survey: Survey) -> Iterator[str]:
    unbuilt = [path for layer, path in zip(survey.layers, survey.layer_paths, strict=True) if not layer.built]
    if unbuilt:
        yield f"Not built, so without weights here and in any file: {', '.join(unbuilt)}"
    if survey.shared_names:
        yield f"No place in the legacy .h5 layout, as several layers have one name: {', '.join(survey.shared_names)}"


def _layers(survey: Survey) -> tuple[Layer, ...]:
    containers = {id(parent): parent for parent in survey.parents}
    inputs = {key: graph_inputs(parent) for key, parent in containers.items()}
    return tuple(
        Layer(
            name=layer.name,
            class_name=type(layer).__name__,
            path=path,
            address=place,
            settings=settings_of(layer),
            inputs=inputs[id(parent)].get(id(layer), ()),
            family=family if (family := family_of(layer)) != type(layer).__name__ else "",
        )
        for layer, parent, path, place in zip(
            survey.layers, survey.parents, survey.layer_paths, survey.layer_addresses, strict=True
        )
    )


def _h5_places(survey: Survey, name: str) -> dict[int, list[str]]:
    places: dict[int, list[str]] = defaultdict(list)
    known = {id(variable) for variable in survey.variables}
    problems = []
    keras = framework_of(survey.model)
    roots = (keras.layers.Layer, keras.optimizers.Optimizer, keras.metrics.Metric)
    for dataset, stored in datasets_of(survey.model, roots).items():
        places[id(stored)].append(dataset)
        if id(stored) not in known:
            problems.append(
                Problem(
                    "the model stores what is no weight of it",
                    where=f"{name}: {dataset}",
                    found=type(stored).__name__,
                    expected="one of model.weights",
                    fix="give the model before quantization or LoRA",
                )
            )
    if problems:
        raise TargetError(problems)
    return places


def _initial(keras: Any, variable: Any, layer: Any) -> float | None:
    """The constant that a variable starts with; for one with a value, only if it still holds it."""
    if is_lazy(variable):
        return _constant(keras, variable._initializer)
    name = path_of(variable).rsplit("/", 1)[-1]
    declared = _constant(keras, getattr(layer, f"{name}_initializer", None))
    if declared is None:
        return None
    return declared if bool(np.all(to_numpy(variable) == declared)) else None


def _constant(keras: Any, initializer: Any) -> float | None:
    if isinstance(initializer, keras.initializers.Zeros):
        return 0.0
    if isinstance(initializer, keras.initializers.Ones):
        return 1.0
    if isinstance(initializer, keras.initializers.Constant) and isinstance(initializer.value, int | float):
        return float(initializer.value)
    return None
