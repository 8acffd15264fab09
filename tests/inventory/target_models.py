"""Small Keras models of every kind whose naming or storage differs."""

import keras
from keras import layers


def residual():
    x = inputs = keras.Input((8, 8, 3))
    for width in (4, 4):
        y = layers.Conv2D(width, 3, padding="same")(x)
        y = layers.BatchNormalization(epsilon=1e-3)(y)
        x = layers.Add()([layers.Conv2D(width, 1, name=f"shortcut_{len(y.shape)}_{x.shape[-1]}")(x), y])
    x = layers.SeparableConv2D(5, 3)(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(keras.ops.mean(x, axis=(1, 2))))


def sequential():
    return keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(2)])


def nested():
    inner_input = keras.Input((4,))
    x = layers.BatchNormalization()(layers.Dense(4)(inner_input))
    inner = keras.Model(inner_input, layers.Dense(4)(x), name="encoder")
    inputs = keras.Input((4,))
    x = layers.Dense(4)(inner(inputs))
    x = keras.Sequential([layers.Dense(3), layers.BatchNormalization(), layers.Dense(3)])(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def recurrent():
    inputs = keras.Input((5, 4))
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(inputs)
    x = layers.Bidirectional(layers.GRU(2, return_sequences=True))(x)
    x = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True)(x)
    return keras.Model(inputs, layers.TimeDistributed(layers.Dense(2))(x))


def attention():
    inputs = keras.Input((5, 8))
    x = layers.MultiHeadAttention(num_heads=2, key_dim=3, value_dim=5)(inputs, inputs)
    x = layers.LayerNormalization(epsilon=1e-5)(x + inputs)
    x = layers.Dropout(0.1)(layers.EinsumDense("abc,cd->abd", (None, 7), bias_axes="d")(x))
    return keras.Model(inputs, x)


def spectral():
    return keras.Sequential([keras.Input((8, 8, 3)), layers.SpectralNormalization(layers.Conv2D(4, 3))])


def preprocessing():
    return keras.Sequential([keras.Input((3,)), layers.Normalization(), layers.Dense(2)])


def shared():
    """A layer that stands in two top-level layers, in the second one behind another."""
    tied = layers.Dense(4, name="tied")
    first_input, second_input, inputs = keras.Input((4,)), keras.Input((4,)), keras.Input((4,))
    first = keras.Model(first_input, layers.Dense(4, name="a")(tied(first_input)), name="first")
    second = keras.Model(second_input, tied(layers.Dense(4, name="b")(second_input)), name="second")
    return keras.Model(inputs, second(first(inputs)))


def compiled():
    model = sequential()
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse", metrics=["mae"])
    return model


@keras.saving.register_keras_serializable("remap_tests")
class Holder(keras.Model):
    """Layers in a list, a dict and a tuple, weights of its own, and names on both sides of ``layers``."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [layers.Dense(4), layers.Dense(4)]
        self.table = {"b": layers.Dense(4), "a": layers.Dense(4)}
        self.pair = (layers.Dense(4), layers.Dense(4))
        self.mix = layers.MultiHeadAttention(2, 3)
        self.zoom = layers.Bidirectional(layers.LSTM(2, return_sequences=True))
        self.shift = self.add_weight(shape=(4,), initializer="zeros", trainable=False, name="shift")
        self.scale = self.add_weight(shape=(4,), initializer=keras.initializers.Constant(0.5), name="scale")
        self.drop = layers.Dropout(0.5)

    def build(self, shape):
        self.call(keras.Input(batch_shape=shape))
        self.built = True

    def call(self, x):
        for layer in (*self.blocks, *self.table.values(), *self.pair):
            x = layer(x)
        return self.drop(self.zoom(self.mix(x, x) * self.scale + self.shift))


def subclassed():
    model = Holder()
    model(keras.Input((5, 4)))
    return model


class Twins(keras.Model):
    """Two sublayers of one name: Keras gives their variables equal paths."""

    def __init__(self):
        super().__init__()
        self.one = layers.Dense(3, name="same")
        self.two = layers.Dense(3, name="same")

    def call(self, x):
        return self.two(self.one(x))


def twins():
    model = Twins()
    model(keras.Input((3,)))
    return model


class Unfinished(keras.Model):
    def __init__(self):
        super().__init__()
        self.used = layers.Dense(2)
        self.spare = layers.Dense(2)

    def call(self, x):
        return self.used(x)


def unfinished():
    model = Unfinished()
    model(keras.Input((3,)))
    return model


@keras.saving.register_keras_serializable("remap_tests")
class Scaling(layers.Layer):
    """A layer with an unnamed variable, and a setting that no ``get_config`` tells."""

    def __init__(self, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, shape):
        self.first = self.add_weight(shape=(shape[-1],), initializer="ones")
        self.second = self.add_weight(shape=(shape[-1],))

    def call(self, x):
        return x * self.first + self.second


def unnamed():
    inputs = keras.Input((3,))
    return keras.Model(inputs, Scaling(1e-4)(Scaling(1e-5)(inputs)))


def assigns():
    """A factory that sets its weights, which a model without weights only seems to take."""
    model = sequential()
    model.set_weights([weight * 0 + 2 for weight in model.get_weights()])
    return model


class Constant(layers.Layer):
    """A layer with a variable made of an array."""

    def __init__(self):
        super().__init__()
        self.table = keras.Variable([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], trainable=False, name="table")

    def call(self, x):
        return x * self.table


def needs_weights():
    """A model that cannot be built without its values: what builds it looks for them."""
    model = keras.Sequential([keras.Input((6,)), Constant(), layers.Dense(2)])
    assert model.layers[-1].kernel._value is not None
    return model


def enormous():
    """Four terabytes, if anyone should allocate them."""
    return keras.Sequential([keras.Input((1_000_000,)), layers.Dense(1_000_000)])


ALL = (
    residual,
    sequential,
    nested,
    recurrent,
    attention,
    spectral,
    preprocessing,
    shared,
    compiled,
    subclassed,
    unnamed,
)
