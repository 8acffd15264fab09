"""Layers between the weights: which of them are the same function on both sides, and which never are.

No rule and no weights change any of this; a convolution before them carries the weights. What differs here is for a
check of outputs to find, and for the model to be changed.
"""

import keras
import pytest
from keras import layers, ops
from layer_parity import TOLERANCE, Case, convert, randomise, relative_difference, sequential, write_rules
from torch import nn

CONV = "[[rename]]\nmatch = '0'\nto = 'conv'\nlayout = 'conv2d'\n"


def case(after_torch, after_keras, size=9):
    return Case(
        "",
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), after_torch()),
        lambda: sequential((size, size, 3), layers.Conv2D(4, 3, padding="same", name="conv"), after_keras()),
        CONV,
        (3, size, size),
        True,
    )


def activation(name):
    return lambda: layers.Activation(name)


class MaxPoolOfInfinities(layers.Layer):
    """Pads with what never wins, as PyTorch does; the right model where 'same' pads on the other side."""

    def call(self, x):
        x = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-float("inf"))
        return ops.max_pool(x, 3, 2)


EQUAL = {
    "GELU": case(nn.GELU, activation("gelu")),
    "GELU of tanh, told so": case(
        lambda: nn.GELU("tanh"), lambda: layers.Activation(lambda x: keras.activations.gelu(x, approximate=True))
    ),
    "Hardswish": case(nn.Hardswish, activation("hard_silu")),
    "Hardsigmoid": case(nn.Hardsigmoid, activation("hard_sigmoid")),
    "LeakyReLU, slope told": case(lambda: nn.LeakyReLU(0.01), lambda: layers.LeakyReLU(negative_slope=0.01)),
    "SiLU": case(nn.SiLU, activation("silu")),
    "Softplus": case(nn.Softplus, activation("softplus")),
    "ELU": case(nn.ELU, activation("elu")),
    "AvgPool2d that does not count padding": case(
        lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False), lambda: layers.AveragePooling2D(3, 1, "same")
    ),
    "MaxPool2d(3,2,1), odd size": case(lambda: nn.MaxPool2d(3, 2, 1), lambda: layers.MaxPooling2D(3, 2, "same")),
    "MaxPool2d(3,2,1), even size, padded in the model": case(
        lambda: nn.MaxPool2d(3, 2, 1), MaxPoolOfInfinities, size=8
    ),
    "Upsample bilinear": case(
        lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    ),
    "Upsample nearest": case(lambda: nn.Upsample(scale_factor=2), lambda: layers.UpSampling2D(2)),
}

DIFFERENT = {
    "GELU of tanh against erf": (case(lambda: nn.GELU("tanh"), activation("gelu")), 1e-5, 1e-2),
    "LeakyReLU, other default slopes": (case(nn.LeakyReLU, layers.LeakyReLU), 1e-2, 1),
    "AvgPool2d that counts padding": (
        case(lambda: nn.AvgPool2d(3, 1, 1), lambda: layers.AveragePooling2D(3, 1, "same")),
        1e-1,
        2,
    ),
    "MaxPool2d(3,2,1), even size": (
        case(lambda: nn.MaxPool2d(3, 2, 1), lambda: layers.MaxPooling2D(3, 2, "same"), size=8),
        1e-1,
        2,
    ),
    "strided convolution, even size": (
        Case(
            "",
            lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 2, padding=1)),
            lambda: sequential((8, 8, 3), layers.Conv2D(4, 3, 2, padding="same", name="conv")),
            CONV,
            (3, 8, 8),
            True,
        ),
        1e-1,
        3,
    ),
}


def difference(case, folder):
    module, model = randomise(case.torch()), case.keras()
    convert(module, model, write_rules(folder, case.rules))
    return relative_difference(case, module, model)


@pytest.mark.parametrize("name", EQUAL)
def test_the_same_function(name, tmp_path):
    assert difference(EQUAL[name], tmp_path) <= TOLERANCE


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_function_whatever_the_weights(name, tmp_path):
    """All weights convert, and the outputs show that the model is another."""
    found, low, high = DIFFERENT[name]
    assert low < difference(found, tmp_path) < high


def test_a_strided_convolution_is_equal_on_odd_sizes(tmp_path):
    found = DIFFERENT["strided convolution, even size"][0]
    odd = Case(
        "",
        found.torch,
        lambda: sequential((9, 9, 3), layers.Conv2D(4, 3, 2, padding="same", name="conv")),
        CONV,
        (3, 9, 9),
        True,
    )
    assert difference(odd, tmp_path) <= TOLERANCE
