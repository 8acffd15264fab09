"""Double precision: a constant that Keras's backend rounds to float32 is told as such, and nothing else is blamed."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from torch import nn
from verify_faults import Fault
from verify_more_faults import activation, spelled_out
from verify_networks import randomise, rules_text
from verify_sequences import TorchMHA, keras_mha


def torch_heads():
    """Two heads of size 6, whose root is no number of single precision."""
    network = TorchMHA()
    network.attn = nn.MultiheadAttention(12, 2, batch_first=True)
    return network


def tanh_gelu(x):
    return keras.activations.gelu(x, approximate=True)


ROUNDED = "constant rounded to float32"
ATTENTION = rules_text({"attn": ("attn", "multi_head_attention"), "head": ("head", "dense")}, ignore=False)
APART = {
    "scale of an attention layer": Fault(torch_heads, lambda: keras_mha(heads=2), ATTENTION, "attn", ROUNDED),
    "gelu by erf": activation("act", ROUNDED, nn.GELU, lambda: layers.Activation("gelu", name="act")),
    "gelu by tanh": activation(
        "act", ROUNDED, lambda: nn.GELU("tanh"), lambda: layers.Activation(tanh_gelu, name="act")
    ),
    "slope": activation("act", ROUNDED, lambda: nn.LeakyReLU(0.01), lambda: layers.LeakyReLU(0.01, name="act")),
}


@pytest.mark.parametrize("name", APART)
def test_what_is_rounded_is_told(name, hold):
    fault = APART[name]
    found = hold(randomise(fault.torch()), fault.keras, fault.rules, float64=True)
    assert found.verdict == "nearly"
    finding = found.finding
    assert (finding.layer, finding.cause, finding.blame) == (fault.layer, fault.cause, "rounding"), finding.text
    assert finding.proved
    assert finding.after < 1e-13 < 1e-10 < finding.before


@pytest.mark.parametrize("name", ["scale of an attention layer", "slope"])
def test_in_single_precision_it_does_not_show(name, hold):
    fault = APART[name]
    assert hold(randomise(fault.torch()), fault.keras, fault.rules).verdict == "equal"


def test_attention_that_computes_otherwise_is_not_called_missing(hold):
    """Keras divides the scores by a number of its own, in operations that are not seen: it leaves nothing out."""
    case = spelled_out("")

    def build():
        model = case.keras()
        model.split = lambda x, size: type(model).split(model, x + 1e-3 * ops.sin(x), size)
        return model

    found = hold(randomise(case.torch()), build, case.rules)
    assert (found.finding.layer, found.finding.cause, found.finding.proved) == ("out", "", False), found.finding.text
    assert found.verdict == "differ"


class TorchBranches(nn.Module):
    """The sum of two branches, an activation in each."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(8, 3)
        self.act = nn.LeakyReLU(0.01)

    def forward(self, x):
        return self.head(self.act(self.a(x)) + self.act(self.b(x)))


def keras_branches(first, second):
    x = keras.Input((7, 5))
    a = layers.LeakyReLU(first, name="act_a")(layers.Dense(8, name="a")(x))
    b = layers.LeakyReLU(second, name="act_b")(layers.Dense(8, name="b")(x))
    return keras.Model(x, layers.Dense(3, name="head")(layers.Add(name="sum")([a, b])))


BRANCHES = rules_text({name: (name, "dense") for name in ("a", "b", "head")}, ignore=False)


@pytest.mark.parametrize(
    ("slopes", "options", "layer", "cause"),
    [
        ((0.01, 0.05), {}, "act_b", "activation"),
        ((0.05, 0.01), {}, "act_a", "activation"),
        ((0.05, 0.05), {}, "act_a", "activation"),
        ((0.01, 0.01), {"float64": True}, "act_a", ROUNDED),
    ],
)
def test_branches_that_meet_again(slopes, options, layer, cause, hold):
    found = hold(randomise(TorchBranches()), lambda: keras_branches(*slopes), BRANCHES, **options)
    finding = found.finding
    assert (finding.layer, finding.cause, finding.proved) == (layer, cause, True), finding.text
    told = "the other inputs of sum as PyTorch has them" in finding.text
    assert told == (slopes[0] == slopes[1])


def test_the_fall_of_a_difference_is_told_where_it_is_measured(hold):
    """The activation is tried, and the layer after it is what is compared: its own difference is what falls."""
    found = hold(randomise(TorchBranches()), lambda: keras_branches(0.01, 0.05), BRANCHES)
    head = next(row for row in found.rows if row.layer == "head")
    if "difference at head" in found.finding.text:
        assert found.finding.before == head.difference.largest
    else:
        assert found.finding.before < 1


def test_a_constant_that_large_numbers_hide_is_found_where_it_shows(hold):
    """One channel is so large that the slope's rounding is within the tolerance; the next layer does not take it."""
    case = activation("", "", lambda: nn.LeakyReLU(0.01), lambda: layers.LeakyReLU(0.01, name="act"))
    network = randomise(case.torch())
    with torch.no_grad():
        network.up.bias[0], network.head.weight[:, 0] = 1e3, 0.0
    found = hold(network, case.keras, case.rules, float64=True)
    assert (found.finding.layer, found.finding.cause, found.finding.proved) == ("act", ROUNDED, True)


def test_a_layer_in_single_precision_is_told_from_its_dtype(hold):
    case = activation("", "", lambda: nn.Softmax(-1), lambda: layers.Softmax(dtype="float32", name="act"))
    found = hold(randomise(case.torch()), case.keras, case.rules, float64=True)
    finding = found.finding
    assert found.verdict == "nearly"
    assert (finding.layer, finding.cause, finding.proved, finding.blame) == ("act", "precision", False, "rounding")
    assert "Keras computes act (Softmax) in float32" in finding.text


def test_a_function_in_single_precision_is_told_from_its_dtype(hold):
    """PyTorch's softmax in float32, as transformers write it: it is seen, and no trial can prove it."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.head = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x):
            x = self.up(x)
            return self.head(torch.log_softmax(x * 3, -1, dtype=torch.float32).to(x.dtype) ** 3)

    def build():
        x = keras.Input((7, 5))
        y = ops.log_softmax(layers.Dense(8, name="up")(x) * 3) ** 3
        return keras.Model(x, layers.Dense(3, name="head")(y))

    rules = rules_text({"up": ("up", "dense"), "head": ("head", "dense")}, ignore=False)
    found = hold(randomise(Net()), build, rules, float64=True)
    assert found.verdict == "nearly"
    assert (found.finding.cause, found.finding.proved, found.finding.blame) == ("precision", False, "rounding")
    assert "PyTorch computes log_softmax in float32" in found.finding.text
    assert np.isfinite(found.finding.before)
