"""Inventories that come with remap, so that common models need neither Keras nor a build."""

from __future__ import annotations

from pathlib import Path

from remap.inventory.inventory import Inventory

_APPLICATIONS = [
    "ConvNeXtTiny",
    "ConvNeXtSmall",
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2S",
    "EfficientNetV2M",
    "EfficientNetV2L",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "ResNet50V2",
    "ResNet101V2",
    "ResNet152V2",
    "VGG16",
    "VGG19",
    "Xception",
]

FILES = {f"keras.applications:{name}": f"{name.lower()}.json.gz" for name in _APPLICATIONS}
"""Model spec -> file beside this module; ``fixtures/make_inventories.py`` makes them from the installed Keras."""


def shipped_inventory(model_spec: str) -> Inventory | None:
    """The shipped inventory of a model with its default arguments, None if there is none.

    >>> inventory = shipped_inventory("keras.applications:ResNet50")
    >>> len(inventory.variables), inventory.variables[0].path
    (320, 'conv1_conv/kernel')
    >>> shipped_inventory("keras.applications:ResNet18") is None
    True
    """
    file = FILES.get(model_spec)
    return None if file is None else Inventory.load(Path(__file__).parent / file)
