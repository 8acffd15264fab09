"""Plans that fill every variable of a model with numbers of its own, read from a file with the axes reversed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from remap.inventory.inventory import Inventory, Layer, Variable
from remap.layout.recipe import Piece, Recipe, View
from remap.layout.tiles import Value
from remap.planning.plan import Assignment, Plan
from remap.rules.load import load_rules
from remap.rules.place import Place
from remap.tensors.dtypes import dtype_of
from remap.tensors.local_file import LocalFile
from remap.tensors.tensor import Checkpoint, FileStorage, Tensor, dense_strides


def numbers(shape: tuple[int, ...], dtype: np.dtype, seed: int) -> np.ndarray:
    """Positive random numbers."""
    generator = np.random.default_rng(seed)
    if dtype.kind in "iu":
        return generator.integers(1, 100, shape).astype(dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    return generator.uniform(0.5, 1.5, shape).astype(dtype)


def reversing(source: Tensor) -> Value:
    """The value of a tensor with its axes in reverse order."""
    order = tuple(range(len(source.shape)))[::-1]
    view = View(0, 0, source.shape, source.strides).permute(order)
    recipe = Recipe(view.shape, view.shape, source.dtype, ((Piece(view, (0,) * len(order)),),))
    return Value(recipe, (source,))


def tensors_in(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Arrays put into one file, one behind the other, their axes reversed."""
    path.write_bytes(b"".join(np.ascontiguousarray(array.T).tobytes() for array in arrays.values()))
    tensors, offset, file = {}, 0, LocalFile.at(path)
    for name, array in arrays.items():
        shape = array.shape[::-1]
        storage = FileStorage(file, offset, array.nbytes)
        tensors[name] = Tensor(name, shape, array.dtype, dense_strides(shape), storage)
        offset += array.nbytes
    return tensors


def plan_of(arrays: dict[str, np.ndarray], folder: Path, target: Inventory | None = None, dtypes=None) -> Plan:
    """A plan that writes ``arrays`` by their names, as the element types that ``dtypes`` says or as they are."""
    rules = folder / "rules.toml"
    rules.write_text("format = 1\n[[rename]]\nmatch = 'a'\nto = 'b/c'\n")
    tensors = tensors_in(folder / "source.bin", arrays)
    variables = {variable.path: variable for variable in target.variables} if target is not None else {}
    assignments = tuple(
        Assignment(
            name=name,
            value=reversing(tensor),
            dtype=dtype_of((dtypes or {}).get(name, tensor.dtype.name)),
            kind="moved",
            place=Place(rules, 2),
            variable=variables.get(name),
        )
        for name, tensor in tensors.items()
    )
    checkpoint = Checkpoint(folder / "source.bin", "raw", tensors)
    return Plan(load_rules(rules), checkpoint, target, assignments)


def filling(target: Inventory, folder: Path) -> tuple[Plan, dict[str, np.ndarray]]:
    """A plan for a whole model, and what each variable shall hold."""
    arrays = {
        variable.path: numbers(variable.shape, dtype_of(variable.dtype), seed)
        for seed, variable in enumerate(target.variables)
    }
    return plan_of(arrays, folder, target), arrays


def h5_target(shapes: dict[str, tuple[int, ...]], dtype: str = "float32") -> Inventory:
    """A target whose variables have places in the HDF5 layouts, with no model behind it."""
    layers = tuple(dict.fromkeys(path.split("/")[0] for path in shapes))
    return Inventory(
        model="made up",
        variables=tuple(
            Variable(
                path,
                path,
                shape,
                dtype,
                layers.index(path.split("/")[0]),
                None,
                {"weights_h5": ((f"{path}/vars/0",),), "legacy_h5": ((path.split("/")[0], f"{path}:0"),)},
            )
            for path, shape in shapes.items()
        ),
        layers=tuple(Layer(name, "Layer", name, name) for name in layers),
        kind="functional",
        keras_version="3.15.1",
        legacy_layers=layers,
    )
