"""What both sides call their calls: one vocabulary, told by ancestry and settings, never by how a class is called."""

from __future__ import annotations

import keras
import keras_hub
import pytest
import torch
from keras import layers
from torch import nn
from torch.nn import functional as F
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from remap.sides.keras.family import family_of
from remap.sides.keras.layers import settings_of_any
from remap.sides.keras.operations import described as keras_described
from remap.sides.keras.operations import described_layer
from remap.sides.operation import SETTINGS, Operation, settled_pads
from remap.sides.torch.calls import class_names, module_settings
from remap.sides.torch.operations import described as torch_described
from remap.sides.torch.side import TorchSide

IMAGES, ROWS = (1, 4, 9, 8), (1, 6, 4)
CONV = {"rank": 2, "kernel_size": (3, 3), "stride": (2, 2), "dilation": (1, 1), "groups": 1, "padding_mode": "zeros"}
POOL = {"rank": 2, "kernel_size": (2, 2), "stride": (2, 2), "dilation": (1, 1), "padding": ((0, 0),) * 2}
GELU = {"function": "gelu", "approximate": False}

ALIKE = {
    "convolution": (
        nn.Conv2d(4, 6, 3, 2),
        lambda: layers.Conv2D(6, 3, 2),
        Operation.CONVOLUTION,
        CONV | {"padding": ((0, 0), (0, 0))},
    ),
    "groups": (
        nn.Conv1d(4, 6, 3, groups=2),
        lambda: layers.Conv1D(6, 3, groups=2),
        Operation.CONVOLUTION,
        {
            **{"rank": 1, "kernel_size": (3,), "stride": (1,), "dilation": (1,), "groups": 2},
            **{"padding": ((0, 0),), "padding_mode": "zeros"},
        },
    ),
    "transposed convolution": (
        nn.ConvTranspose2d(4, 6, 3, 2),
        lambda: layers.Conv2DTranspose(6, 3, 2),
        Operation.TRANSPOSED_CONVOLUTION,
        {
            **{"rank": 2, "kernel_size": (3, 3), "stride": (2, 2), "dilation": (1, 1), "groups": 1},
            "crop": ((0, 0), (0, 0)),
        },
    ),
    "max pooling": (
        nn.MaxPool2d(2),
        lambda: layers.MaxPooling2D(2),
        Operation.MAX_POOLING,
        POOL | {"ceil_mode": False},
    ),
    "global pooling": (
        nn.AdaptiveAvgPool2d(1),
        lambda: layers.GlobalAveragePooling2D(),
        Operation.GLOBAL_AVERAGE_POOLING,
        {"rank": 2},
    ),
    "padding": (
        nn.ZeroPad2d((1, 2, 3, 4)),
        lambda: layers.ZeroPadding2D(((3, 4), (1, 2))),
        Operation.PADDING,
        {"padding": ((3, 4), (1, 2)), "padding_mode": "zeros", "value": 0.0},
    ),
    "batch normalization": (
        nn.BatchNorm2d(4, eps=1e-3),
        lambda: layers.BatchNormalization(epsilon=1e-3),
        Operation.BATCH_NORMALIZATION,
        {"epsilon": 1e-3, "batch_statistics": False},
    ),
    "layer normalization": (
        nn.LayerNorm(4, eps=1e-6),
        lambda: layers.LayerNormalization(epsilon=1e-6),
        Operation.LAYER_NORMALIZATION,
        {"epsilon": 1e-6},
    ),
    "RMS normalization": (
        nn.RMSNorm(4, eps=1e-6),
        lambda: layers.RMSNormalization(epsilon=1e-6),
        Operation.RMS_NORMALIZATION,
        {"epsilon": 1e-6},
    ),
    "RMS normalization of the libraries": (
        LlamaRMSNorm(4, 1e-5),
        lambda: keras_hub.src.models.llama.llama_layernorm.LlamaLayerNorm(epsilon=1e-5),
        Operation.RMS_NORMALIZATION,
        {"epsilon": 1e-5},
    ),
    "group normalization": (
        nn.GroupNorm(2, 4, 1e-3),
        lambda: layers.GroupNormalization(2, epsilon=1e-3),
        Operation.GROUP_NORMALIZATION,
        {"epsilon": 1e-3, "groups": 2},
    ),
    "gelu": (nn.GELU(), lambda: layers.Activation("gelu"), Operation.ACTIVATION, GELU),
    "gelu by tanh": (
        nn.GELU("tanh"),
        lambda: layers.Activation(keras_hub.src.utils.keras_utils.gelu_approximate),
        Operation.ACTIVATION,
        GELU | {"approximate": True},
    ),
    "relu6": (nn.ReLU6(), lambda: layers.ReLU(6), Operation.ACTIVATION, {"function": "relu6"}),
    "a slope": (
        nn.LeakyReLU(0.17),
        lambda: layers.LeakyReLU(negative_slope=0.17),
        Operation.ACTIVATION,
        {"function": "leaky_relu", "slope": 0.17},
    ),
    "hard swish": (
        nn.Hardswish(),
        lambda: layers.Activation("hard_silu"),
        Operation.ACTIVATION,
        {"function": "hard_swish"},
    ),
    "softmax": (nn.Softmax(-1), lambda: layers.Softmax(), Operation.SOFTMAX, {}),
    "interpolation": (
        nn.Upsample(scale_factor=2, mode="bilinear"),
        lambda: layers.UpSampling2D(interpolation="bilinear"),
        Operation.INTERPOLATION,
        {"mode": "bilinear", "align_corners": False, "antialias": False},
    ),
    "attention": (
        nn.MultiheadAttention(8, 2),
        lambda: layers.MultiHeadAttention(2, 4),
        Operation.ATTENTION,
        {"heads": 2, "scale": 0.5, "dropout": 0.0},
    ),
    "dropout": (nn.Dropout(0.3).eval(), lambda: layers.Dropout(0.3), Operation.DROPOUT, {"rate": 0.3, "active": False}),
    "linear": (nn.Linear(4, 6), lambda: layers.Dense(6), Operation.LINEAR, {}),
    "embedding": (nn.Embedding(4, 6), lambda: layers.Embedding(4, 6), Operation.EMBEDDING, {}),
    "flatten": (nn.Flatten(), lambda: layers.Flatten(), Operation.FLATTEN, {}),
    "identity": (nn.Identity(), lambda: layers.Identity(), Operation.IDENTITY, {}),
}


def of_torch(module):
    return torch_described(class_names(module), module_settings(module))


def of_keras(layer):
    return keras_described(family_of(layer), settings_of_any(layer))


@pytest.mark.parametrize("name", ALIKE)
def test_both_sides_tell_the_same(name):
    module, build, operation, settings = ALIKE[name]
    module.eval()
    torch_operation, torch_settings = of_torch(module)
    keras_operation, keras_settings = of_keras(build())
    keras_settings.pop("activation", None)
    assert torch_operation is keras_operation is operation
    assert torch_settings == settings
    assert {key: keras_settings[key] for key in settings} == settings


@pytest.mark.parametrize("gated", [True, False])
def test_gates_are_told_in_the_order_of_each_sides_weights(gated):
    operation, torch_settings = of_torch(nn.GRU(4, 6) if gated else nn.RNN(4, 6, nonlinearity="relu"))
    also, keras_settings = of_keras(layers.GRU(6) if gated else layers.SimpleRNN(6, activation="relu"))
    assert operation is also is (Operation.GRU if gated else Operation.RNN)
    orders = torch_settings.pop("gate_order"), keras_settings.pop("gate_order")
    assert orders == ((("reset", "update", "new"), ("update", "reset", "new")) if gated else (("new",), ("new",)))
    assert torch_settings == keras_settings


class Conv2DSomething(layers.Layer):
    """No convolution, whatever it is called."""

    kernel_size, strides, padding = (3, 3), (2, 2), "same"

    def __init__(self, kernel_size=3, strides=2, padding="same", **kwargs):
        super().__init__(**kwargs)

    def call(self, x):
        return x


class Stem(layers.Conv2D):
    """A convolution, whatever it is called."""


class Odd(nn.Conv2d):
    """Likewise."""


def test_a_class_is_what_its_ancestors_say():
    assert of_keras(Conv2DSomething())[0] is Operation.OTHER
    assert of_keras(Stem(4, 3))[0] is of_torch(Odd(4, 4, 3))[0] is Operation.CONVOLUTION
    assert of_keras(layers.ConvLSTM2D(4, 3))[0] is Operation.CONVOLUTIONAL_LSTM
    assert of_keras(layers.DepthwiseConv2D(3))[1]["groups"] == "channels"


def test_an_inventory_keeps_what_a_class_is_made_from():
    from remap.inventory.inventory import Inventory
    from remap.sides.keras.keras_model import inventory_of

    model = keras.Sequential([keras.Input((9, 8, 4)), Conv2DSomething(name="a"), Stem(4, 3, name="b")])
    inventory = inventory_of(model)
    described = {layer.path: described_layer(layer)[0] for layer in inventory.layers}
    assert described == {"a": Operation.OTHER, "b": Operation.CONVOLUTION}
    assert [layer.family for layer in inventory.layers] == ["Layer", "Conv2D"]
    import msgspec

    again = msgspec.json.decode(inventory.encode(compressed=False), type=Inventory)
    assert [described_layer(layer)[0] for layer in again.layers] == list(described.values())


class Functions(nn.Module):
    """One function of each kind."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(4, 4, 3, 3))

    def forward(self, x):
        x = F.conv2d(x, self.kernel, stride=2, padding=(1, 0))
        x = F.pad(x, (1, 2, 3, 4), mode="reflect" if x.shape[2] > 4 else "constant")
        x = F.avg_pool2d(x, 2, count_include_pad=False)
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        x = F.leaky_relu(x, 0.3) * 2 + F.gelu(x, approximate="tanh")
        x = torch.cat([x, x], 1).flatten(1)
        return torch.softmax(F.layer_norm(x, x.shape[-1:], eps=1e-4), -1)


FUNCTIONS = [
    (Operation.CONVOLUTION, {"rank": 2, "stride": (2, 2), "padding": ((1, 1), (0, 0)), "groups": 1}),
    (Operation.PADDING, {"padding": ((3, 4), (1, 2)), "padding_mode": "reflect"}),
    (Operation.AVERAGE_POOLING, {"kernel_size": (2, 2), "stride": (2, 2), "count_include_pad": False}),
    (Operation.INTERPOLATION, {"mode": "bilinear", "align_corners": True}),
    (Operation.ACTIVATION, {"function": "leaky_relu", "slope": 0.3}),
    (Operation.MULTIPLY, {}),
    (Operation.ACTIVATION, {"function": "gelu", "approximate": True}),
    (Operation.ADD, {}),
    (Operation.CONCATENATE, {}),
    (Operation.FLATTEN, {}),
    (Operation.LAYER_NORMALIZATION, {"epsilon": 1e-4}),
    (Operation.SOFTMAX, {}),
]


def test_functions_are_told_as_modules_are():
    import numpy as np

    from remap.sides.feed import Feed

    x = np.zeros((1, 4, 19, 18), "f4")
    trace = TorchSide(Functions().eval(), "functions").run([Feed("x", "", x, x)])
    calls = trace.calls[1:]
    assert [call.operation for call in calls] == [operation for operation, _ in FUNCTIONS]
    for call, (_, settings) in zip(calls, FUNCTIONS, strict=True):
        assert {key: call.settings.get(key) for key in settings} == settings, call.kind


def test_timms_same_padding_is_tensorflows():
    from timm.layers import Conv2dSame

    settings = of_torch(Conv2dSame(4, 4, 3, 2))[1]
    assert settings["padding"] == "same"
    assert settled_pads(settings) is None
    assert settled_pads(settings, (8, 9)) == of_keras_pads((8, 9)) == ((0, 1), (1, 1))


def of_keras_pads(sizes):
    return settled_pads(of_keras(layers.Conv2D(4, 3, 2, "same"))[1], sizes)


@pytest.mark.parametrize("name", ALIKE)
def test_every_setting_is_one_of_the_vocabulary(name):
    module, build, operation, _ = ALIKE[name]
    for _, settings in (of_torch(module), of_keras(build())):
        assert set(settings) <= set(SETTINGS.get(operation, ()))
