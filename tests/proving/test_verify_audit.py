"""The static audit: settings that disagree are told without running anything, and right networks tell none."""

from __future__ import annotations

from functools import partial

import keras
import pytest
import torch
import torchvision
from keras import layers
from torch import nn
from verify_faults import FAULTS, RIGHT
from verify_more_faults import MORE_FAULTS, MORE_RIGHT
from verify_networks import randomise, rules_text

import remap
from remap.sides.keras.spec import load_model_builder

ALL = FAULTS | MORE_FAULTS

TOLD = {
    "same padding at stride 2": {("stem", "padding", "1 symmetric", "same at stride 2")},
    "same padding of a pooling": {("pool", "padding", "1 symmetric", "same at stride 2")},
    "stride on another convolution": {("stem", "strides", "2", "1"), ("conv2", "strides", "1", "2")},
    "dilation": {("conv3", "dilation", "2", "1"), ("conv3", "padding", "2", "same")},
    "groups": {("conv", "groups", "2", "1")},
    "padding mode": {("conv2", "padding mode", "reflect", "zeros")},
    "batch norm epsilon": {("bn1", "epsilon", "1e-05", "0.001")},
    "layer norm epsilon": {("norm", "epsilon", "1e-05", "0.001")},
    "mean over padding": {("avg", "count_include_pad", "True", "False")},
    "aligned corners": {("up", "interpolation", "bilinear with align_corners=True", "bilinear")},
    "bicubic against bilinear": {("up", "interpolation", "bicubic", "bilinear")},
    "dilation of a transposed convolution": {("up", "dilation", "2", "1")},
    "nearest neighbours": {("up", "interpolation", "bilinear", "nearest")},
    "ceil_mode": {("pool", "ceil_mode", "True", "False")},
    "stride of a pooling": {("pool", "strides", "2", "1")},
    "same padding of a transposed convolution": {
        ("up", "padding", "padding 1, output_padding 1: (1, 0) taken off", "same: (0, 1) taken off")
    },
    "output_padding left out": {
        ("up", "output_padding", "padding 1, output_padding 1: (1, 0) taken off", "valid: 1 taken off")
    },
    "stride of a transposed convolution": {("up", "strides", "2", "3")},
    "groups of a group norm": {("norm", "groups", "3", "2")},
    "epsilon of a group norm": {("norm", "epsilon", "1e-05", "0.001")},
    "an instance norm as a layer over all channels": {("norm", "groups", "one for each channel", "1")},
    "statistics of each batch": {("norm", "statistics", "of each batch", "stored")},
    "epsilon of an RMS norm": {("norm", "epsilon", "0.01", "1e-06")},
    "activation of an LSTM": {("rnn", "activation", "tanh", "softsign")},
    "recurrent activation of a GRU": {("rnn", "recurrent activation", "sigmoid", "hard_sigmoid")},
    "both activations, in both directions": {
        ("rnn", "activation", "tanh", "relu"),
        ("rnn", "recurrent activation", "sigmoid", "hard_sigmoid"),
    },
    "nonlinearity of a plain RNN": {("rnn", "activation", "relu", "tanh")},
    "reset before the product": {("rnn", "reset_after", "True", "False")},
    "number of heads": {("attn", "heads", "3", "4")},
    "slope that is no usual one": {("leak", "activation", "leaky_relu (0.17)", "leaky_relu (0.05)")},
    "gelu's form, the other way": {("act", "activation", "gelu (tanh)", "gelu (erf)")},
}


class Unrun(nn.Module):
    """Fails when it is called."""

    def forward(self, *_):
        raise AssertionError("the audit runs nothing")


@pytest.fixture
def audited(tmp_path, saved):
    """The audit of a case: Keras layer, setting, PyTorch's and Keras's value."""

    def run(fault):
        (tmp_path / "rules.toml").write_text(fault.rules)
        network = randomise(fault.torch())
        network.forward = Unrun().forward
        found = remap.verify(tmp_path / "rules.toml", saved(network), fault.keras, network, static=True)
        assert found.verdict == "audited"
        return {(entry.layer, entry.setting, entry.torch, entry.keras) for entry in found.audit if not entry.harmless}

    return run


@pytest.mark.parametrize("name", TOLD)
def test_settings_that_disagree_are_told(name, audited):
    assert audited(ALL[name]) >= TOLD[name]
    layers_told = {layer for layer, *_ in TOLD[name]}
    if name != "batch norm epsilon":  # which is set for both
        assert {layer for layer, *_ in audited(ALL[name])} == layers_told


@pytest.mark.parametrize("name", RIGHT | MORE_RIGHT)
def test_right_networks_tell_nothing(name, audited):
    assert audited((RIGHT | MORE_RIGHT)[name]) == set()


def test_activations_in_another_order_are_no_disagreement(saved, tmp_path):
    """Modules are listed as they are defined, layers as they are called."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.late, self.early = nn.Tanh(), nn.SiLU()
            self.a, self.b = nn.Linear(5, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.late(self.b(self.early(self.a(x))))

    def build(first="silu"):
        x = keras.Input((5,))
        return keras.Model(x, layers.Dense(3, activation="tanh", name="b")(layers.Dense(4, first, name="a")(x)))

    (tmp_path / "rules.toml").write_text(rules_text({"a": ("a", "dense"), "b": ("b", "dense")}, ignore=False))
    network = randomise(Net())
    torch.manual_seed(0)
    arguments = (tmp_path / "rules.toml", saved(network))
    assert remap.verify(*arguments, build, network, static=True).audit == []
    told = remap.verify(*arguments, partial(build, "relu"), network, static=True).audit
    assert {(entry.setting, entry.note) for entry in told} == {("activation", "paired by their order")}


@pytest.mark.parametrize(("size", "expected"), [(64, {"padding"}), (65, set())])
def test_a_hard_sigmoid_that_is_spelled_out_is_no_disagreement(size, expected, saved):
    """keras.applications write it as ``relu6(x + 3) / 6``; at odd sizes they pad as PyTorch does."""
    network = torchvision.models.mobilenet_v3_small()
    options = {
        "input_shape": [size, size, 3],
        "include_preprocessing": False,
        "classifier_activation": None,
        "weights": None,
    }
    build = load_model_builder("keras.applications:MobileNetV3Small", options)
    told = remap.verify("mobilenet_v3", saved(network), build, network, static=True).audit
    assert {entry.setting for entry in told} == expected


class LeftOn(nn.Dropout):
    """Drops in inference mode too."""

    def train(self, mode=True):
        return super().train(True)


def small_bert(**settings):
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertModel(BertConfig(vocab_size=31, max_position_embeddings=16, **sizes, **settings))


def rescaled():
    network = small_bert()
    network.encoder.layer[1].attention.self.scaling = 0.25
    return network


def dropping():
    network = small_bert()
    network.encoder.layer[1].attention.self.dropout = LeftOn(0.1)
    return network


ATTENTION = "transformer_layer_{}/self_attention_layer"
BERT = {
    "nothing": (small_bert, 0.1, []),
    "attention scale": (rescaled, 0.1, [(ATTENTION.format(1), "attention scale", "0.25", "0.288675", False)]),
    "attention mask": (
        partial(small_bert, is_decoder=True),
        0.1,
        [(ATTENTION.format(n), "attention mask", "causal", "none", False) for n in (0, 1)],
    ),
    "rate of a dropout": (small_bert, 0.2, [(ATTENTION.format(n), "dropout", "0.1", "0.2", True) for n in (0, 1)]),
    "dropout left on": (dropping, 0.1, [(ATTENTION.format(1), "dropout", "0.1, in training mode", "off", False)]),
}


@pytest.mark.parametrize("name", BERT)
def test_settings_of_attention_whose_parts_are_mapped_one_by_one(name, saved):
    import keras_hub

    network, rate, expected = BERT[name]
    build = partial(keras_hub.models.BertBackbone, 31, 2, 2, 24, 32, dropout=rate, max_sequence_length=16)
    network = randomise(network())
    told = remap.verify("keras_hub/bert", saved(network), build, network, static=True).audit
    assert all(entry.harmless for entry in told if "order" in entry.note)
    told = [entry for entry in told if "order" not in entry.note]
    assert [(entry.setting, entry.torch, entry.keras, entry.harmless) for entry in told] == [e[1:] for e in expected]
    assert all(entry.layer.startswith(layer) for entry, (layer, *_) in zip(told, expected, strict=True))


@pytest.mark.parametrize(("p", "harmless"), [(0.2, [True]), (0.3, [])])
def test_rates_of_dropout_that_differ_do_no_harm(p, harmless, saved, tmp_path):
    network = nn.Sequential(nn.Linear(5, 4), nn.Dropout(p), nn.Linear(4, 3))

    def build():
        x = keras.Input((5,))
        y = layers.Dropout(0.3, name="drop")(layers.Dense(4, name="a")(x))
        return keras.Model(x, layers.Dense(3, name="b")(y))

    (tmp_path / "rules.toml").write_text(rules_text({"0": ("a", "dense"), "2": ("b", "dense")}, ignore=False))
    told = remap.verify(tmp_path / "rules.toml", saved(network), build, network, static=True).audit
    assert [(entry.layer, entry.module, entry.setting) for entry in told] == [("drop", "1", "dropout")] * len(harmless)
    assert [entry.harmless for entry in told] == harmless
