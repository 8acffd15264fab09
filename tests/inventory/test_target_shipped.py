"""The inventories in the package are what the installed Keras gives, and quick to read."""

import runpy
import sys
import time
from pathlib import Path

import msgspec
import pytest

from remap.inventory import shipped
from remap.inventory.inventory import Inventory

ROOT = Path(__file__).parents[2]


SMALLEST = [
    f"keras.applications:{name}"
    for name in (
        "ResNet50",
        "ResNet50V2",
        "VGG16",
        "DenseNet121",
        "MobileNet",
        "MobileNetV2",
        "MobileNetV3Small",
        "EfficientNetB0",
        "EfficientNetV2B0",
        "ConvNeXtTiny",
        "InceptionV3",
        "Xception",
        "NASNetMobile",
    )
]
"""The smallest member of each family: its larger ones are made by the same code of Keras's."""


@pytest.mark.full
def test_regenerated_inventories_are_the_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["make_inventories.py", *SMALLEST, "--folder", str(tmp_path)])
    runpy.run_path(str(ROOT / "fixtures" / "make_inventories.py"), run_name="__main__")
    for spec in SMALLEST:
        made = Inventory.load(tmp_path / shipped.FILES[spec])
        known = shipped.shipped_inventory(spec)
        assert msgspec.structs.replace(made, keras_version="") == msgspec.structs.replace(known, keras_version="")
        assert known.model == spec


@pytest.mark.no_cover
def test_reading_takes_milliseconds():
    times = []
    for _ in range(5):
        start = time.process_time()
        assert len(shipped.shipped_inventory("keras.applications:ResNet152").variables) == 932
        times.append(time.process_time() - start)
    assert min(times) < 0.015, times


def test_an_unknown_model_has_none():
    assert shipped.shipped_inventory("keras.applications:VGG11") is None
