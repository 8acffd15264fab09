"""Several faults in one network: the first is named, and every later one too, each on PyTorch's own inputs."""

from __future__ import annotations

import json
from functools import partial

import keras
import pytest
import torch
import torchvision
from keras import layers
from verify_faults import tanh_gelu
from verify_networks import CNN_RULES, TorchCNN, keras_cnn, randomise, rules_text
from verify_sequences import ENCODER_RULES, TorchEncoder, subclassed

from remap.report.html import verified_page
from remap.report.verify_data import verified_data
from remap.report.verify_words import proof_lines
from remap.sides.keras.spec import load_model_builder

SEVERAL = {
    "a window, an epsilon": ({"stem": "same", "norm_epsilon": 1e-2}, {"stem": "padding", "norm": "epsilon"}),
    "what follows a fault in shapes": (
        {"stem_stride": 1, "conv2_stride": 2, "act3": "silu"},
        {"stem": "stride", "conv2": "stride", "conv3": "activation"},
    ),
    "activations one after the other": (
        {"act1": "leaky_relu", "act2": "old", "act3": tanh_gelu, "last": "softmax"},
        {"act1": "activation", "act2": "hard-swish form", "conv3": "gelu tanh against erf", "fc3": "extra activation"},
    ),
    "without weights of their own": (
        {"avg": "same", "interpolation": "nearest"},
        {"avg": "count_include_pad", "up": "interpolation"},
    ),
}


def causes(found):
    return {entry.layer: entry.cause for entry in (found.finding, *found.further)}


@pytest.mark.parametrize("name", SEVERAL)
def test_each_of_several_faults_is_found_with_its_cause(name, hold):
    options, expected = SEVERAL[name]
    found = hold(randomise(TorchCNN()), partial(keras_cnn, **options), rules_text(CNN_RULES))
    assert list(causes(found).items()) == list(expected.items())
    assert all(entry.proved and entry.blame == "model" for entry in (found.finding, *found.further))


def test_one_fault_is_the_only_one(hold):
    found = hold(randomise(TorchCNN()), partial(keras_cnn, stem="same"), rules_text(CNN_RULES))
    assert found.further == ()
    assert [row.layer for row in found.rows if row.alone == "differs"] == ["stem"]
    assert {row.alone for row in found.rows[1:]} == {"equal"}
    assert [row.layer for row in found.rows if row.outcome == "equal"] == []
    assert "the only divergence" in "\n".join(line.text for line in proof_lines(found))


def test_wrong_weights_after_a_wrong_model(hold):
    rules = {**CNN_RULES, "conv2": ("conv2", "mine"), "fc1": ("fc1", "dense")}
    layout = '[layouts.mine]\nkernel = { from = "weight", axes = "o i h w -> w h i o" }\nbias = "bias"\n'
    found = hold(randomise(TorchCNN()), partial(keras_cnn, stem="same"), rules_text(rules, layout))
    assert causes(found) == {"stem": "padding", "conv2": "transposition", "fc1": "flatten order"}
    assert [entry.blame for entry in (found.finding, *found.further)] == ["model", "weights", "weights"]


def test_in_a_subclassed_model(hold):
    build = partial(subclassed, scale=1.0, gelu=tanh_gelu)
    found = hold(randomise(TorchEncoder()), build, rules_text(ENCODER_RULES, ignore=False))
    assert causes(found) == {"out": "attention scale", "down": "gelu tanh against erf"}


def test_a_layer_that_is_called_twice_is_judged_at_each_call(hold):
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(8, 8)

        def forward(self, x):
            return torch.relu(self.fc(torch.relu(self.fc(torch.relu(self.fc(x))))))

    def build():
        x, fc = keras.Input((8,)), layers.Dense(8, name="fc")
        y = layers.Activation("silu", name="b")(fc(layers.Activation("tanh", name="a")(fc(x))))
        return keras.Model(x, layers.Activation("relu", name="c")(fc(y)))

    found = hold(randomise(Twice()), build, rules_text({"fc": ("fc", "dense")}, ignore=False))
    assert causes(found) == {"a": "activation", "b": "activation"}
    assert [row.alone for row in found.rows] == ["equal", "differs", "differs"]


def test_the_stride_of_resnet_v1_is_on_another_layer_and_nothing_else_is_wrong(hold):
    torch.manual_seed(0)
    build = load_model_builder(
        "keras.applications:ResNet50", {"classifier_activation": None, "input_shape": [64, 64, 3]}
    ).build
    found = hold(torchvision.models.resnet50().eval(), build, "resnet", calibrate=True)
    stages = [f"conv{stage}_block1_{number}_conv" for stage in (3, 4, 5) for number in (1, 2)]
    assert causes(found) == dict.fromkeys(stages, "stride")


def test_reports_list_every_layer_that_differs_by_itself(hold, remap_command, fixtures):
    build = partial(keras_cnn, stem="same", act3="silu", norm_epsilon=1e-2)
    found = hold(randomise(TorchCNN()), build, rules_text(CNN_RULES))
    data = json.loads(json.dumps(verified_data(found)))
    assert [(entry["layer"], entry["cause"], entry["proved"]) for entry in data["further"]] == [
        ("conv3", "activation", True),
        ("norm", "epsilon", True),
    ]
    assert {row["layer"] for row in data["layers"] if row["alone"] == "differs"} == {"stem", "conv4", "norm"}
    told = [line.text for line in proof_lines(found) if line.label == "differs by itself"]
    assert told[0].startswith("conv3 (Activation), on PyTorch's own inputs: activation (proved): with gelu")
    assert told[1].startswith(
        "norm (LayerNormalization), on PyTorch's own inputs: epsilon (proved): with epsilon 1e-05"
    )
    page = verified_page(found)
    assert all(f"{layer}" in page for layer in ("differs by itself", "with epsilon 1e-05 instead of 0.01"))


def test_a_run_that_fails_on_values_of_another_shape_is_told(hold):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.Linear(4 * 9, 3)

        def forward(self, x):
            return self.head(torch.nn.functional.adaptive_max_pool2d(self.conv(x), 3).flatten(1))

    def build():
        x = keras.Input((10, 10, 3))
        y = layers.MaxPooling2D(2, name="pool")(layers.Conv2D(4, 3, padding="valid", name="conv")(x))
        return keras.Model(x, layers.Dense(3, name="head")(layers.Flatten()(layers.Cropping2D(((0, 1), (0, 1)))(y))))

    rules = rules_text({"conv": ("conv", "conv2d"), "head": ("head", "dense_after_flatten")}, ignore=False)
    found = hold(randomise(Net()), build, rules)
    assert (found.finding.layer, found.finding.cause) == ("conv", "stride")
    assert any("not tried by themselves" in note for note in found.notes)
