"""Where Keras keeps each variable in a ``.weights.h5`` file, found by letting Keras write one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from remap.sides.keras.live import is_keras2


def datasets_of(model: Any, roots: tuple[type, ...]) -> dict[str, Any]:
    """Dataset path -> the object that Keras would store there, for a real or a lazily built model.

    ``save_own_variables`` is Keras's public hook for what a layer stores. While ``model.save_weights`` runs, every
    such hook is given a store that keeps the object and passes on its number, so the file that Keras writes is
    small and holds, at each place, the number of what belongs there. What optimizers and metrics store is left out.

    Args:
        model: A built model.
        roots: The classes whose subclasses define the hook: ``Layer``, and those of training, ``Optimizer`` and
            ``Metric``.
    """
    stored: list[tuple[Any, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "numbers.weights.h5")
        with _numbers_for_values(roots, stored):
            model.save_weights(str(path))
        with h5py.File(path) as file:
            held = {
                name: stored[int(dataset[()])] for name, dataset in _datasets(file) if not name.startswith("optimizer/")
            }
    return {name: variable for name, (owner, variable) in held.items() if not isinstance(owner, roots[1:])}


def _datasets(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in group.items():
        if isinstance(item, h5py.Dataset):
            yield prefix + name, item
        else:
            yield from _datasets(item, f"{prefix}{name}/")


class _NumberingStore:
    """Stands in for the store that a hook writes to; iteration and look-ups find it empty."""

    def __init__(self, real: Any, stored: list[tuple[Any, Any]], owner: Any) -> None:
        self.real = real
        self.stored = stored
        self.owner = owner

    def __setitem__(self, key: str, value: Any) -> None:
        self.real[key] = np.int64(len(self.stored))
        self.stored.append((self.owner, _variable_behind(value, key, self.owner)))

    def __contains__(self, key: str) -> bool:
        return False


def _variable_behind(value: Any, key: str, layer: Any) -> Any:
    """Keras 3 stores the variables themselves; tf_keras stores their values, numbered in the layer's order."""
    if not isinstance(value, np.ndarray) or not is_keras2(layer) or not key.isdecimal():
        return value
    own = [*layer._trainable_weights, *layer._non_trainable_weights]
    variable = own[int(key)] if int(key) < len(own) else value
    return variable if tuple(variable.shape) == value.shape else value


@contextmanager
def _numbers_for_values(roots: tuple[type, ...], stored: list[tuple[Any, Any]]) -> Iterator[None]:
    hooks = [(cls, cls.__dict__["save_own_variables"]) for cls in _family(roots) if "save_own_variables" in vars(cls)]
    try:
        for cls, hook in hooks:
            cls.save_own_variables = _numbering(hook, stored)  # type: ignore[attr-defined]
        yield
    finally:
        for cls, hook in hooks:
            cls.save_own_variables = hook  # type: ignore[attr-defined]


def _numbering(hook: Callable[[Any, Any], None], stored: list[tuple[Any, Any]]) -> Callable[[Any, Any], None]:
    def save_own_variables(self: Any, store: Any) -> None:
        hook(self, store if isinstance(store, _NumberingStore) else _NumberingStore(store, stored, self))

    return save_own_variables


def _family(roots: tuple[type, ...]) -> set[type]:
    """``roots`` and all their subclasses that exist in this process."""
    family: set[type] = set()
    waiting = list(roots)
    while waiting:
        cls = waiting.pop()
        if cls not in family:
            family.add(cls)
            waiting += cls.__subclasses__()
    return family
