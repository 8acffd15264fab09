"""Reading a written file back by the public reader of its format, one variable at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from remap.opening.open import open_checkpoint
from remap.planning.plan import Plan
from remap.sides.framework import import_module, prepare_process
from remap.sides.keras.keras_model import build_model, identify
from remap.sides.keras.live import is_keras2
from remap.sides.keras.saved_model import Exported
from remap.sides.keras.spec import ModelSource
from remap.tensors.dtypes import from_numpy_file


class ReadBack(Mapping[str, Any]):
    """Variables by Keras path, each read when it is asked for.

    Args:
        keys: Keras path to the file's own name.
        read: Reads one by the file's own name.
    """

    def __init__(self, keys: Mapping[str, str], read: Callable[[str], Any]) -> None:
        self._keys = keys
        self._read = read

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(self._read(self._keys[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def read_back(plan: Plan, path: Path, format: str, source: ModelSource) -> Mapping[str, Any]:
    """What a file holds, by Keras path: Keras's formats through ``load_weights`` of a fresh model, the others
    through their own readers."""
    if format == "safetensors":
        return _safetensors(plan, path)
    if format == "npz":
        archive = np.load(path)
        return ReadBack({name: name for name in archive.files}, lambda name: from_numpy_file(archive[name]))
    if format == "tf_name":
        return _tensorflow(path, {assignment.name: assignment.name for assignment in plan.assignments})
    model = build_model(source)
    if format == "tf_object" and not is_keras2(model):
        root = model.loaded if isinstance(model, Exported) else model
        # The root serves every model, and what an optimizer would miss is no matter of the file.
        import_module("tensorflow").train.Checkpoint(root).restore(str(path)).expect_partial()
    else:
        model.load_weights(str(path))
    return identify(model, plan.target)


def _safetensors(plan: Plan, path: Path) -> ReadBack:
    if any(found.dtype.name.startswith("float8") for found in plan.assignments):  # safetensors' numpy side has none
        checkpoint = open_checkpoint(path)
        return ReadBack({name: name for name in checkpoint}, lambda name: checkpoint[name].array())
    from safetensors import safe_open

    file: Any = safe_open(str(path), framework="np")
    return ReadBack({name: name for name in file.keys()}, file.get_tensor)  # noqa: SIM118 - it is no mapping


def _tensorflow(path: Path, keys: Mapping[str, str]) -> ReadBack:
    prepare_process()
    reader = import_module("tensorflow").train.load_checkpoint(str(path))
    there = reader.get_variable_to_shape_map()
    return ReadBack({name: key for name, key in keys.items() if key in there}, reader.get_tensor)
