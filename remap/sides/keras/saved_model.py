"""SavedModel folders as models: tf_keras's own become models again, of all others the variables are known.

A SavedModel of ``tf_keras``'s ``model.save(folder)`` says how to build the model (``keras_metadata.pb``). One of Keras
3's ``model.export(folder)`` or of ``tf.saved_model.save`` holds functions and variables, no layers: names, shapes,
element types and the objects that TensorFlow restores, but no places in a file of Keras's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remap.errors import Problem, TargetError
from remap.formats.tensorflow.tf_object import TF_OBJECT
from remap.inventory.inventory import BUILD, EXPORTED, Inventory, Layer, Variable
from remap.inventory.naming import told_apart
from remap.sides.framework import import_module, prepare_process
from remap.sides.keras.live import dtype_name
from remap.sides.keras.tracking import tracked
from remap.sides.usercode import first_lines

FILE = "saved_model.pb"
METADATA = "keras_metadata.pb"
COPIES = "_all_variables/"
"""Where an export of Keras 3 keeps copies of its variables, which its functions do not use."""
NOTE = (
    "A SavedModel that does not tell its Keras layers: TensorFlow checkpoints and files by name can be written for it; "
    "for a file of Keras's, give the function that builds the model."
)
RANDOM_STATE = "seed_generator_state"
"""What Keras 3 calls the state of its random generators, which is no weight."""


def is_saved_model(folder: Path) -> bool:
    """Whether a folder is a SavedModel."""
    return (folder / FILE).is_file()


def saved_model_builder(folder: Path) -> Callable[[], Any]:
    """What loads a SavedModel: as a tf_keras model where it is one, as an :class:`Exported` else.

    Raises:
        MissingPackageError: tf_keras or TensorFlow is not installed.
    """
    prepare_process()
    if (folder / METADATA).is_file():
        return _loading(folder, lambda: import_module("tf_keras").models.load_model(str(folder), compile=False))
    return _loading(folder, lambda: exported(import_module("tensorflow").saved_model.load(str(folder))))


def _loading(folder: Path, load: Callable[[], Any]) -> Callable[[], Any]:
    def build() -> Any:
        try:
            return load()
        except (OSError, ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
            raise TargetError(
                "the SavedModel does not load",
                where=str(folder),
                found=f"{type(error).__name__}: {first_lines(str(error))}",
                fix=BUILD,
            ) from error

    return build


@dataclass(frozen=True)
class Exported:
    """A loaded SavedModel that is no Keras model.

    Args:
        loaded: What ``tf.saved_model.load`` gives.
        variables: By name, each with its key below the loaded object.
        copies: By name, keys of copies of them, which nothing computes with; none where several have one name.
    """

    loaded: Any
    variables: dict[str, tuple[str, Any]]
    copies: dict[str, list[str]]

    @property
    def weights(self) -> list[Any]:
        """The variables."""
        return [variable for _, variable in self.variables.values()]


def exported(loaded: Any) -> Exported:
    """The variables of a loaded SavedModel, without the state of random generators.

    Raises:
        TargetError: It has none.
    """
    tensorflow = import_module("tensorflow")
    own: list[tuple[str, str, Any]] = []
    copies: dict[str, list[str]] = defaultdict(list)
    for key, thing in tracked(loaded):
        if not isinstance(thing, tensorflow.Variable) or thing.dtype == tensorflow.string:
            continue
        name = thing.name.split(":")[0]
        if key.startswith(COPIES):
            copies[name].append(key)
        elif not name.endswith(RANDOM_STATE):
            own.append((name, key, thing))
    if not own:
        raise TargetError("the SavedModel has no variables")
    names = told_apart(name for name, _, _ in own)
    variables = {name: (key, thing) for name, (_, key, thing) in zip(names, own, strict=True)}
    alone = {name for name, count in Counter(name for name, _, _ in own).items() if count == 1}
    return Exported(loaded, variables, {name: keys for name, keys in copies.items() if name in alone})


def exported_inventory(model: Exported, name: str) -> Inventory:
    """The inventory of a SavedModel that is no Keras model.

    Paths are the names that the variables had: Keras's paths where each layer was built by itself, and less than that
    where a subclassed model built its layers in its first call. Addresses are their keys. Layers are the paths' scopes.
    """
    scope_of = {path: path.rpartition("/")[0] for path in model.variables}
    scopes = list(dict.fromkeys(scope_of.values()))
    return Inventory(
        model=name,
        variables=tuple(
            Variable(
                path=path,
                address=key,
                shape=tuple(int(size) for size in variable.shape),
                dtype=dtype_name(variable),
                layer=scopes.index(scope_of[path]),
                places={TF_OBJECT.name: tuple((name,) for name in (key, *model.copies.get(path, ())))},
            )
            for path, (key, variable) in model.variables.items()
        ),
        layers=tuple(Layer(scope.rpartition("/")[2], "", scope, scope) for scope in scopes),
        kind=EXPORTED,
        keras_version="",
        notes=(NOTE,),
        tf_unknown="",
    )


def identify_exported(model: Exported, inventory: Inventory | None) -> dict[str, Any]:
    """Path -> live variable of a SavedModel, in the order of the inventory.

    Raises:
        TargetError: A variable of the inventory is missing, or has another shape.
    """
    live = {path: variable for path, (_, variable) in model.variables.items()}
    if inventory is None:
        return live
    problems = [
        Problem("the SavedModel lacks a variable of the inventory", where=known.path, expected=f"shape {known.shape}")
        for known in inventory.variables
        if known.path not in live or tuple(live[known.path].shape) != known.shape
    ]
    if problems:
        raise TargetError(problems)
    return {known.path: live[known.path] for known in inventory.variables}
