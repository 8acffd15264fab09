"""Inventories that come with remap, so that common models need neither Keras nor a build."""

from __future__ import annotations

from pathlib import Path

from remap.target.inventory import Inventory

FILES = {
    "keras.applications:ResNet50": "resnet50.json.gz",
    "keras.applications:ResNet101": "resnet101.json.gz",
    "keras.applications:ResNet152": "resnet152.json.gz",
}
"""Model spec -> file beside this module; ``fixtures/make_inventories.py`` makes them from the installed Keras."""


def shipped_inventory(model_spec: str) -> Inventory | None:
    """The shipped inventory of a model with its default arguments, None if there is none.

    >>> inventory = shipped_inventory("keras.applications:ResNet50")
    >>> len(inventory.variables), inventory.variables[0].path
    (320, 'conv1_conv/kernel')
    >>> shipped_inventory("keras.applications:Xception") is None
    True
    """
    file = FILES.get(model_spec)
    return None if file is None else Inventory.load(Path(__file__).parent / file)
