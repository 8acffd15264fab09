"""The ways to run a proof: double precision, calibration, odd sizes, a file of weights; and what a run can see."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from torch import nn
from verify_networks import CNN_RULES, TorchCNN, keras_cnn, keras_pooled, pooled, randomise, rules_text

from remap import verify
from remap.errors import CheckpointError, TargetError, UsageError

BN_RULES = rules_text({"0": ("conv", "conv2d"), "1": ("bn", "batch_normalization")})
POOL_RULES = rules_text({"conv": ("conv", "conv2d"), "head": ("head", "dense")}, ignore=False)


def conv_bn():
    return randomise(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))


def keras_conv_bn(epsilon=1e-5, size=8):
    layers = [keras.Input((size, size, 3)), keras.layers.Conv2D(8, 3, name="conv")]
    return keras.Sequential([*layers, keras.layers.BatchNormalization(epsilon=epsilon, name="bn")])


def test_double_precision_tells_exact_from_nearly(hold):
    exact = hold(conv_bn(), keras_conv_bn, BN_RULES, float64=True)
    assert exact.verdict == "equal"
    assert exact.outputs[0].difference.relative < 1e-13
    single = hold(conv_bn(), lambda: keras_conv_bn(1.001e-5), BN_RULES)
    assert single.verdict == "equal"  # invisible in single precision
    nearly = hold(conv_bn(), lambda: keras_conv_bn(1.001e-5), BN_RULES, float64=True)
    assert nearly.verdict == "nearly"
    assert nearly.finding.cause == "epsilon"
    assert keras.config.floatx() == "float32"


class Flat(nn.Module):
    """Its BatchNorm was never fed: running variances so large that nothing comes through."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 36, 4)

    def forward(self, x):
        return self.head(torch.flatten(torch.relu(self.bn(self.conv(x))), 1))


def keras_flat(epsilon=1e-5):
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(8, 3, name="conv")(x)
    y = keras.layers.ReLU()(keras.layers.BatchNormalization(epsilon=epsilon, name="bn")(y))
    return keras.Model(x, keras.layers.Dense(4, name="head")(keras.layers.Flatten()(y)))


def test_a_run_that_sees_nothing_proves_nothing(hold):
    network = randomise(Flat())
    network.bn.running_var.fill_(1e14)
    rules = rules_text(
        {"conv": ("conv", "conv2d"), "bn": ("bn", "batch_normalization"), "head": ("head", "dense_after_flatten")}
    )
    blind = hold(network, keras_flat, rules)
    assert blind.verdict == "blind"
    assert not blind.proved
    assert all(row.outcome == "equal" for row in blind.outputs)
    seeing = hold(network, keras_flat, rules, calibrate=True)
    assert seeing.verdict == "equal"
    assert seeing.sight.moved > 0.1
    assert hold(network, lambda: keras_flat(0.5), rules).verdict == "blind"
    assert hold(network, lambda: keras_flat(0.5), rules, calibrate=True).finding.cause == "epsilon"
    assert network.bn.running_var[0] == 1e14  # a copy was calibrated


def any_size_pool(padding):
    x = keras.Input((None, None, 3))
    y = keras.layers.Conv2D(4, 3, name="conv")(x)
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.MaxPooling2D(3, 2, padding, name="pool")(y))
    return keras.Model(x, keras.layers.Dense(3, name="head")(y))


def test_an_odd_size_separates_padding_from_weights(hold):
    network = randomise(pooled(nn.MaxPool2d, kernel_size=3, stride=2, padding=1))
    even = hold(network, lambda: any_size_pool("same"), POOL_RULES)
    assert (even.finding.layer, even.finding.cause) == ("pool", "padding")
    assert "--odd-size" in even.finding.hint
    odd = hold(network, lambda: any_size_pool("same"), POOL_RULES, odd_size=True)
    assert odd.verdict == "equal"
    assert odd.inputs == (odd.inputs[0],)
    assert "65, 65" in odd.inputs[0]


def test_an_odd_size_that_the_model_does_not_take_is_refused(hold):
    with pytest.raises(UsageError, match="odd size"):
        hold(conv_bn(), lambda: keras_conv_bn(size=64), BN_RULES, odd_size=True)


def test_wrong_weights_are_another_finding_than_a_wrong_model(hold, tmp_path):
    network = conv_bn()
    model = keras_conv_bn()
    for variable in model.variables:
        variable.assign(np.random.default_rng(0).uniform(0.5, 1, variable.shape))
    model.save_weights(tmp_path / "other.weights.h5")
    found = hold(network, keras_conv_bn, BN_RULES, weights=tmp_path / "other.weights.h5")
    assert found.verdict == "weights"
    assert len(found.weights.differences) == 6
    assert found.finding.layer == "conv"
    assert found.finding.blame == "weights"
    assert found.finding.cause == "weights"


def test_a_checkpoint_is_loaded_into_pytorch_strictly(hold, saved):
    path = saved(conv_bn())
    with pytest.raises(CheckpointError, match="differ in a shape"):
        hold(nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8)), keras_conv_bn, BN_RULES, path)
    with pytest.raises(CheckpointError, match="lacks a tensor of the PyTorch model"):
        hold(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(6, 6)), keras_conv_bn, BN_RULES, path)
    with pytest.raises(CheckpointError, match="lacks a tensor of the checkpoint"):
        hold(nn.Sequential(nn.Conv2d(3, 8, 3)), keras_conv_bn, BN_RULES, path)


def test_a_model_that_fails_on_the_input_is_the_users_to_mend(hold):
    with pytest.raises(TargetError, match="PyTorch model fails"):
        hold(conv_bn(), keras_conv_bn, BN_RULES, inputs=["float32[1,4,8,8]"])


def test_tolerances_that_are_asked_for(hold):
    found = hold(conv_bn(), keras_conv_bn, BN_RULES, atol=1e-12, rtol=0.0)
    assert found.outputs[0].tolerance == 1e-12
    assert found.outputs[0].outcome == "differs"
    assert "as asked" in found.tolerance


def test_the_audit_lists_settings_that_disagree_and_runs_nothing(saved, tmp_path):
    from remap.sides.keras.spec import ModelSource

    (tmp_path / "rules.toml").write_text(rules_text(CNN_RULES))
    network = randomise(TorchCNN())

    def build():
        return keras_cnn(
            stem="same",
            stem_stride=1,
            conv2_stride=2,
            pool="same",
            bn_epsilon=1e-3,
            norm_epsilon=1e-6,
            dilation=1,
            avg="same",
        )

    network.forward = None  # whatever calls it fails
    found = verify(tmp_path / "rules.toml", saved(network), ModelSource("keras", build), network, static=True)
    assert found.verdict == "audited"
    assert {(entry.layer, entry.setting) for entry in found.audit} == {
        ("stem", "strides"),
        ("conv2", "strides"),
        ("conv2", "padding"),
        ("bn1", "epsilon"),
        ("bn2", "epsilon"),
        ("norm", "epsilon"),
        ("conv3", "dilation"),
        ("conv3", "padding"),
        ("pool", "padding"),
        ("avg", "count_include_pad"),
    }
    right = verify(tmp_path / "rules.toml", saved(network), ModelSource("keras", keras_cnn), network, static=True)
    assert right.audit == []


class Gate(keras.layers.Layer):
    """A parameter of its own, and no module beside it in PyTorch."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(4,), name="scale")

    def call(self, x):
        return x * self.scale


class TorchGate(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.unused = nn.Linear(5, 4), nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return torch.nn.functional.linear(self.fc(x) * self.scale, self.unused.weight, self.unused.bias)


def test_what_cannot_be_traced_is_listed_with_its_reason(hold):
    def build():
        x = keras.Input((5,))
        y = Gate(name="gate")(keras.layers.Dense(4, name="fc")(x))
        return keras.Model(x, keras.layers.Dense(4, name="last")(y))

    rules = rules_text({"fc": ("fc", "dense"), "unused": ("last", "dense")}, ignore=False)
    rules += "[[rename]]\nmatch = 'scale'\nto = 'gate/scale'\n"
    found = hold(randomise(TorchGate()), build, rules)
    assert found.verdict == "equal"
    assert set(found.untraced) == {"last"}
    assert "used by another module or function" in found.untraced["last"]
    assert [row.outcome for row in found.rows if row.layer == "gate"] == ["equal"]


def test_the_pooled_network_is_right_without_a_fault(hold):
    network = randomise(pooled(nn.MaxPool2d, kernel_size=3, stride=2))
    found = hold(network, lambda: keras_pooled(keras.layers.MaxPooling2D, pool_size=3, strides=2), POOL_RULES)
    assert found.verdict == "equal"
