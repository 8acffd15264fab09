"""The inventory of whatever the user names as the target: a saved inventory, a shipped one, or a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from remap.errors import UsageError
from remap.target.inventory import Inventory
from remap.target.shipped import shipped_inventory


def load_inventory(spec: str, args: Mapping[str, object] | None = None, *, shipped: bool = True) -> Inventory:
    """The inventory that ``spec`` names; Keras is imported only where it must be built from a model.

    Args:
        spec: A saved inventory (``.json``, ``.json.gz``), or a model as
            :func:`remap.target.spec.load_model_builder` takes it.
        args: Arguments of the model's callable.
        shipped: Whether an inventory that comes with remap may stand for a model with its default arguments.

    Raises:
        TargetError: It cannot be read or built.
        UsageError: Arguments are given for a saved inventory.
        MissingPackageError: The model needs a package that is not installed.
    """
    if spec.endswith(".json.gz") or (spec.endswith(".json") and _is_inventory(Path(spec))):
        if args:
            raise UsageError("a saved inventory takes no model arguments", where=spec, found=", ".join(args))
        return Inventory.load(Path(spec))
    known = shipped_inventory(spec) if shipped and not args else None
    if known is not None:
        return known
    from remap.target.keras_model import inventory_of
    from remap.target.spec import load_model_builder

    return inventory_of(load_model_builder(spec, args))


def _is_inventory(path: Path) -> bool:
    """Told by the first key that :meth:`Inventory.save` writes; an architecture starts with others."""
    try:
        with path.open("rb") as file:
            return b'"variables"' in file.read(4096)
    except OSError:
        return False
