"""What goes into both networks: specifications, shapes told by the Keras model, layouts, bounds."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from remap.errors import UsageError
from remap.proving.inputs import InputSpec, draw, odd, parse_input, settle_inputs
from remap.sides.feed import KerasInput
from remap.sides.keras.inputs import keras_inputs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("float32[1,3,224,224]", InputSpec("", (1, 3, 224, 224), "float32")),
        ("image=float64[2, 3, 8, 8]", InputSpec("image", (2, 3, 8, 8), "float64")),
        ("int64[1,16]<30522", InputSpec("", (1, 16), "int64", bound=30522)),
        ("tokens:input_ids=int64[1,16]<vocab", InputSpec("tokens", (1, 16), "int64", "input_ids", "vocab")),
        ("scale=float32[]", InputSpec("scale", (), "float32")),
    ],
)
def test_specifications(text, expected):
    assert parse_input(text) == [expected]


@pytest.mark.parametrize("text", ["float32", "float32[1,x]", "nonsense[1]", "=float32[1]", "missing.npz"])
def test_specifications_that_are_none(text):
    with pytest.raises(UsageError):
        parse_input(text)


def test_shapes_are_told_by_the_keras_model():
    image, tokens = keras.Input((None, None, 3), name="image"), keras.Input((9,), name="tokens", dtype="int32")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    y = layers.Flatten()(layers.Embedding(20, 4)(tokens))
    told = keras_inputs(keras.Model([image, tokens], layers.Dense(2)(layers.Concatenate()([x, y]))))
    assert told == [
        KerasInput("image", (None, None, 3), "float32", channels_first=True),
        KerasInput("tokens", (9,), "int32", bound=20),
    ]
    specs = settle_inputs([], told, samples=2)
    assert [(spec.name, spec.shape, spec.dtype) for spec in specs] == [
        ("image", (2, 3, 64, 64), "float32"),
        ("tokens", (2, 9), "int64"),
    ]
    feeds = draw(specs, told, 0)
    assert feeds[0].keras.shape == (2, 64, 64, 3)
    assert np.array_equal(feeds[0].keras, feeds[0].torch.transpose(0, 2, 3, 1))
    assert feeds[1].torch.min() >= 0 and 10 < feeds[1].torch.max() < 20


def test_sequences_of_a_conv1d_are_channels_first_in_pytorch():
    x = keras.Input((30, 4))
    assert keras_inputs(keras.Model(x, layers.Conv1D(2, 3)(x)))[0].channels_first
    assert not keras_inputs(keras.Model(x, layers.Dense(2)(x)))[0].channels_first


def test_a_model_with_channels_first_is_fed_as_it_is():
    x = keras.Input((3, 8, 8))
    model = keras.Model(x, layers.Permute((2, 1, 3))(layers.BatchNormalization(axis=1)(x)))
    told = KerasInput(keras_inputs(model)[0].name, (3, 8, 8), "float32")
    feed = draw([InputSpec(told.name, (1, 3, 8, 8))], [told], 0)[0]
    assert feed.keras.shape == (1, 3, 8, 8)


def test_given_inputs_take_names_by_order_and_bounds_by_name():
    told = [KerasInput("a", (4,), "int32", bound=7), KerasInput("b", (4,), "float32")]
    specs = settle_inputs([*parse_input("int64[1,4]<vocab"), *parse_input("float32[1,4]")], told, params={"vocab": 5})
    assert [(spec.name, spec.bound) for spec in specs] == [("a", 5), ("b", None)]
    assert settle_inputs(parse_input("int64[1,4]<vocab"), told)[0].bound == 7
    with pytest.raises(UsageError, match="no such input"):
        settle_inputs(parse_input("c=float32[1,4]"), told)
    with pytest.raises(UsageError, match="unknown bound"):
        settle_inputs(parse_input("b=int64[1,4]<words"), told)
    with pytest.raises(UsageError, match="does not tell the shape"):
        settle_inputs([], None)


def test_draws_are_seeded():
    specs = parse_input("float32[1,4]")
    first, again, other = (draw(specs, None, seed)[0].torch for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_odd_sizes_stay_odd_through_strides_of_two():
    for size in (8, 16, 64, 96, 224, 225, 300):
        found = odd(size)
        assert found >= size
        for _ in range(3):
            assert found % 2 == 1
            found = (found + 1) // 2
