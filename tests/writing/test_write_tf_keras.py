"""Files for tf_keras load by its own calls, every variable bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras
from plans import filling

from remap.formats.keras.legacy_h5 import groups_of
from remap.sides.keras.keras_model import inventory_of
from remap.writing.write import write


def convolutional():
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            tf_keras.Input((8, 8, 4)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.Conv2DTranspose(4, 3, name="up"),
            layers.SeparableConv2D(5, 3, name="separable"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="head"),
        ]
    )


def nested():
    layers = tf_keras.layers
    start = tf_keras.Input((4,))
    x = layers.BatchNormalization()(layers.Dense(4)(start))
    inner = tf_keras.Model(start, layers.BatchNormalization()(layers.Dense(4)(x)), name="encoder")
    inputs = tf_keras.Input((4,))
    return tf_keras.Model(inputs, layers.Dense(4, name="head")(inner(inputs)))


def recurrent():
    layers = tf_keras.layers
    inputs = tf_keras.Input((5, 4))
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both")(inputs)
    return tf_keras.Model(inputs, layers.GRU(4, name="gru")(x))


MODELS = [convolutional, nested, recurrent]


def fresh(build):
    tf_keras.backend.clear_session()
    return build()


def assert_holds(model, target, arrays):
    groups = {layer: [array for _, array in weights] for layer, weights in groups_of(target).items()}
    for layer in model.layers:
        expected = [arrays[variable.path] for variable in groups[layer.name]]
        found = [weight.numpy() for weight in layer.trainable_weights + layer.non_trainable_weights]
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)


@pytest.mark.parametrize("build", MODELS)
@pytest.mark.parametrize("by_name", [False, True])
def test_legacy_h5_loads_in_tf_keras(build, by_name, tmp_path):
    target = inventory_of(fresh(build))
    plan, arrays = filling(target, tmp_path)
    write(plan, tmp_path / "w.h5")
    model = fresh(build)
    model.load_weights(str(tmp_path / "w.h5"), by_name=by_name)
    assert_holds(model, target, arrays)


@pytest.mark.parametrize("build", MODELS)
def test_weights_h5_loads_in_tf_keras(build, tmp_path):
    target = inventory_of(fresh(build))
    plan, arrays = filling(target, tmp_path)
    written = write(plan, tmp_path / "w.weights.h5")
    model = fresh(build)
    exec(written.load_line, {"model": model})
    assert_holds(model, target, arrays)
