"""Files for keras.applications written from shipped inventories alone, loaded by Keras."""

from __future__ import annotations

from importlib import import_module

import application_tables as tables
import numpy as np
import pytest
from application_members import member

import remap

pytestmark = pytest.mark.architectures


@pytest.mark.parametrize(
    ("source", "table"),
    [
        ("torchvision:mobilenet_v3_small", tables.mobilenet_v3_small),
        ("timm:tf_efficientnet_b0", tables.tf_efficientnet_b0),
        ("timm:convnext_tiny", tables.timm_convnext_tiny),
    ],
)
def test_file_without_a_model_loads_into_the_model_of_its_size(tmp_path, source, table):
    import_module("torchvision")
    keras = import_module("keras")
    found = member(source)
    state = {name: value.numpy() for name, value in found.torch().state_dict().items()}
    done = remap.apply(found.rules, state, tmp_path / "out.weights.h5")
    assert done.plan.target.model == found.spec
    keras.backend.clear_session()
    model = found.keras()
    model.load_weights(tmp_path / "out.weights.h5")
    expected = tables.Table(state, 1e-3, 1e-3)
    table(expected)
    live = {"/".join(v.path.split("/")[-2:]): v for v in model.variables if "seed_generator" not in v.path}
    assert set(live) == set(expected.expected)
    for name, value in expected.expected.items():
        assert np.array_equal(keras.ops.convert_to_numpy(live[name]), value.astype(live[name].dtype)), name


def test_normalization_in_a_loaded_efficientnet_is_that_of_imagenet(tmp_path):
    import_module("torchvision")
    keras = import_module("keras")
    found = member("timm:tf_efficientnet_b0")
    state = found.torch().state_dict()
    remap.apply(found.rules, state, tmp_path / "out.weights.h5")
    model = found.keras()
    model.load_weights(tmp_path / "out.weights.h5")
    normalise = keras.Sequential(list(model.layers[:3]))
    pixels = np.full((1, 224, 224, 3), 255.0, "f4")
    normalised = keras.ops.convert_to_numpy(normalise(pixels))[0, 0, 0]
    wanted = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert np.allclose(normalised, wanted, rtol=1e-5)
