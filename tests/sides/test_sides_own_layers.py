"""Users' own layers, and Keras's that are called like others: what they do tells what they are, never their names."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from remap.errors import TargetError
from remap.sides.feed import Feed
from remap.sides.keras.side import KerasSide
from remap.sides.keras.spec import ModelSource


class DenseTwice(layers.Dense):
    def call(self, x):
        return self.activation(super().call(x))


class DenseByKeyword(layers.Dense):
    def call(self, x):
        return self.activation(x=keras.ops.matmul(x, self.kernel))


class DenseScaled(layers.Dense):
    def call(self, x):
        return super().call(x) * 2


class DenseWithout(layers.Dense):
    def call(self, x):
        return keras.ops.matmul(x, self.kernel)


class DenseFixed(layers.Dense):
    @property
    def activation(self):
        return keras.ops.tanh

    @activation.setter
    def activation(self, value):
        pass


class ConvByName(layers.Layer):
    """Nothing of a convolution but its name; its activation is a text."""

    activation = "relu"

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

    def call(self, x):
        return keras.ops.relu(x @ self.kernel) if self.activation == "relu" else x


class LSTMByName(layers.Layer):
    """Holds a cell, and no loop around it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.activation, self.cell = keras.ops.tanh, layers.LSTMCell(4)

    def call(self, x):
        return self.activation(self.cell(x, [x, x])[0])


OWN = {
    "twice": (lambda: DenseTwice(4, activation="tanh", name="own"), False),
    "by keyword": (lambda: DenseByKeyword(4, activation="tanh", name="own"), True),
    "not at the end": (lambda: DenseScaled(4, activation="tanh", name="own"), False),
    "never": (lambda: DenseWithout(4, activation="tanh", name="own"), False),
    "a property": (lambda: DenseFixed(4, name="own"), False),
    "a convolution by its name": (lambda: ConvByName(name="own"), False),
    "a recurrent layer by its name": (lambda: LSTMByName(name="own"), False),
    "Keras's own": (lambda: layers.Dense(4, "tanh", name="own"), True),
    "Keras's own that is no convolution": (lambda: layers.ConvLSTM2D(4, 2, name="own"), False),
}


def built_with(make, shape=(4,)):
    x = keras.Input(shape)
    return keras.Model(x, layers.Dense(2, name="last")(make()(x)))


@pytest.mark.parametrize("name", OWN)
def test_a_layer_does_watched_what_it_does_unwatched(name):
    make, splits = OWN[name]
    shape = (2, 4, 4, 3) if "no convolution" in name else (4,)
    side = KerasSide.build(ModelSource("net", lambda: built_with(make, shape)))
    x = np.random.default_rng(0).standard_normal((2, *shape), np.float32)
    trace = side.run([Feed("x", "", x, x)])
    np.testing.assert_allclose(trace.values[trace.outputs[0][1]], side.model(x), rtol=1e-5, atol=1e-6)
    assert [call.name for call in trace.calls if call.name in ("own", "own activation")] == [
        "own",
        *["own activation"][:splits],
    ]
    for index, call in enumerate(trace.calls):
        again = side.again(index, [trace.values[value] for value in call.inputs])
        np.testing.assert_allclose(again, trace.values[call.outputs[0]], rtol=1e-5, atol=1e-6, err_msg=call.title)


def test_a_fault_of_the_watching_is_not_put_on_the_input(monkeypatch):
    def fails(*args):
        raise ZeroDivisionError("of its own")

    run = KerasSide.build(ModelSource("net", lambda: built_with(lambda: layers.Dense(4)))).run
    x = np.ones((2, 4), np.float32)
    with pytest.raises(TargetError, match="fails on the input"):
        run([Feed("x", "", x, x[:, :3])])
    monkeypatch.setattr("remap.sides.keras.side.described", fails)
    with pytest.raises(ZeroDivisionError):
        run([Feed("x", "", x, x)])
