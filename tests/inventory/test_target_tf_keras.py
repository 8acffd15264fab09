"""Models of tf_keras (Keras 2), against the files that tf_keras writes itself."""

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers
from tf_keras.src.saving.legacy import hdf5_format

from remap.formats.keras.legacy_h5 import groups_of
from remap.sides.keras.keras_model import build_model, identify, inventory_of
from remap.sides.keras.spec import ModelSource

ENDING = "/.ATTRIBUTES/VARIABLE_VALUE"


def functional():
    x = inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(epsilon=1e-4)(layers.Conv2D(4, 3, strides=2, name="stem")(x))
    inner_input = keras.Input((3, 3, 4))
    inner = keras.Model(inner_input, layers.BatchNormalization()(layers.Conv2D(4, 1)(inner_input)), name="inner")
    x = layers.Flatten()(layers.Add()([inner(x), x]))
    return keras.Model(inputs, keras.Sequential([layers.Dense(5, "relu"), layers.Dense(2)])(x))


def sequential():
    return keras.Sequential([keras.Input((5, 4)), layers.Bidirectional(layers.LSTM(3)), layers.Dense(2)])


def attention():
    inputs = keras.Input((5, 4))
    return keras.Model(inputs, layers.LayerNormalization()(layers.MultiHeadAttention(2, 3)(inputs, inputs)))


class Holder(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [layers.Dense(4), layers.Dense(4)]
        self.table = {"a": layers.Dense(4)}
        self.gain = self.add_weight("gain", (4,), initializer="ones")

    def call(self, x):
        for layer in (*self.blocks, self.table["a"]):
            x = layer(x)
        return x * self.gain


def subclassed():
    model = Holder()
    model(keras.Input((4,)))
    return model


ALL = [functional, sequential, attention, subclassed]


def filled(build):
    model = build_model(ModelSource("", build))
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def by_path(model, inventory):
    """Values under the inventory's paths, by Keras's own names alone."""
    own = {variable.name: variable.numpy() for variable in model.weights}
    assert len(own) == len(model.weights) == len(inventory.variables)
    prefix = f"{model.name}/" if inventory.kind == "subclassed" else ""
    return {
        variable.path: own.get(f"{prefix}{variable.path}:0", own.get(f"{variable.path}:0"))
        for variable in inventory.variables
    }


@pytest.mark.parametrize("build", ALL)
def test_weights_h5_places(build, tmp_path):
    inventory = inventory_of(build)
    model = filled(build)
    model.save_weights(tmp_path / "m.weights.h5")
    values = by_path(model, inventory)
    with h5py.File(tmp_path / "m.weights.h5") as file:
        for variable in inventory.variables:
            for (place,) in variable.at("weights_h5"):
                np.testing.assert_array_equal(file[place][()], values[variable.path])
    assert all(variable.at("weights_h5") for variable in inventory.variables)


@pytest.mark.parametrize("build", ALL)
def test_legacy_order(build, tmp_path):
    inventory = inventory_of(build)
    model = filled(build)
    model.save_weights(tmp_path / "m.h5")
    values = by_path(model, inventory)
    with h5py.File(tmp_path / "m.h5") as file:
        names = hdf5_format.load_attributes_from_hdf5_group(file, "layer_names")
        assert inventory.legacy_layers == tuple(names)
        groups = groups_of(inventory)
        for layer in (*names, "top_level_model_weights"):
            weights = hdf5_format.load_attributes_from_hdf5_group(file[layer], "weight_names")
            assert [name for name, _ in groups.get(layer, [])] == list(weights)
            for name, variable in groups.get(layer, []):
                np.testing.assert_array_equal(file[layer][name][()], values[variable.path])


@pytest.mark.parametrize("build", ALL)
def test_keys_of_an_object_based_checkpoint(build, tmp_path):
    inventory = inventory_of(build)
    model = filled(build)
    model.save_weights(str(tmp_path / "checkpoint"), save_format="tf")
    reader = tf.train.load_checkpoint(str(tmp_path / "checkpoint"))
    stored = {key for key in reader.get_variable_to_shape_map() if key.endswith(ENDING)}
    values = by_path(model, inventory)
    for variable in inventory.variables:
        np.testing.assert_array_equal(reader.get_tensor(variable.at("tf_object")[0][0] + ENDING), values[variable.path])
    counters = {key for key in stored if key.startswith("save_counter")}
    assert {variable.at("tf_object")[0][0] + ENDING for variable in inventory.variables} == stored - counters


@pytest.mark.parametrize("build", ALL)
def test_a_second_build_changes_no_address(build):
    keras.backend.clear_session()
    first, second = inventory_of(build()), inventory_of(build())
    assert [v.address for v in first.variables] == [v.address for v in second.variables]
    assert [layer.address for layer in first.layers] == [layer.address for layer in second.layers]


def test_identify_with_an_earlier_inventory():
    inventory = inventory_of(functional)
    late = functional()
    live = identify(late, inventory)
    assert list(live) == [variable.path for variable in inventory.variables]
    assert live["stem/kernel"] is late.get_layer("stem").kernel


def test_what_is_told_of_layers():
    inventory = inventory_of(functional)
    layers_by_name = {layer.name: layer for layer in inventory.layers}
    assert inventory.kind == "functional"
    assert inventory.keras_version == keras.__version__
    assert layers_by_name["stem"].settings["strides"] == [2, 2]
    assert layers_by_name["batch_normalization"].settings["epsilon"] == 1e-4
    assert layers_by_name["add"].inputs == ("inner", "batch_normalization")
    initial = {variable.path: variable.initial for variable in inventory.variables}
    assert (initial["batch_normalization/moving_variance"], initial["stem/kernel"]) == (1.0, None)
