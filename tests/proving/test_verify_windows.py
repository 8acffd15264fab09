"""Sliding windows of attention that are a token too short or too long: verify tells both, however either is spelled.

All tokens look at each other, or the last few at all that came before, as in a decoder with a cache.
"""

from __future__ import annotations

import re
from functools import partial

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from torch import nn
from torch.nn import functional as F
from verify_networks import randomise, rules_text
from verify_sequences import TorchMHA

LENGTH, WIDTH, HEADS = 12, 12, 3
FAR = LENGTH
SPOKEN = re.compile(r"a window of \w+ tokens? to the left(?: and \w+ to the right)?")
PARTS = ("q", "k", "v", "out")
WRITTEN = rules_text({name: (name, "dense") for name in PARTS}, ignore=False)
EVERY, ONE, FEW = slice(0, LENGTH), slice(LENGTH - 1, LENGTH), slice(LENGTH - 3, LENGTH)
"""Which tokens look."""
LAYER = rules_text({"attn": ("attn", "multi_head_attention"), "head": ("head", "dense")}, ignore=False)


def window(left, right, padded=False):
    """Which keys each query sees, of shape (2 samples, queries, keys); the samples may end in padding, not alike."""
    before = np.arange(LENGTH)[:, None] - np.arange(LENGTH)
    sees = np.stack(2 * [(before <= left) & (-before <= right)])
    for sample, hidden in enumerate((3, 4) if padded else ()):
        sees[sample, :, LENGTH - hidden :] = False
    return sees


class TorchWindow(nn.Module):
    """Attention that makes its mask by itself, and gives it to a function, adds it to the scores, or sums by hand."""

    def __init__(self, spelled, sees, looks, scale=0.5):
        super().__init__()
        self.spelled, self.sees, self.scale, self.looks = spelled, torch.from_numpy(sees)[:, None], scale, looks
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in PARTS)

    def forward(self, x):
        q, k, v = (f(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        q = q[:, :, self.looks]
        return self.out(self.mixed(q, k, v).transpose(1, 2).flatten(2))

    def mixed(self, q, k, v):
        if self.spelled == "function":
            return F.scaled_dot_product_attention(q, k, v, attn_mask=self.sees, scale=self.scale)
        scores = q @ k.transpose(-1, -2) * self.scale
        if self.spelled == "scores":
            hidden = torch.where(self.sees, 0.0, torch.finfo(scores.dtype).min)
            return torch.softmax(scores + hidden, -1) @ v
        weights = scores.exp() * self.sees
        return weights / weights.sum(-1, keepdim=True) @ v


class KerasWindow(keras.Model):
    """The same, its mask made between its layers."""

    def __init__(self, sees, looks):
        super().__init__()
        self.hidden, self.looks = np.where(sees, 0.0, -1e9)[:, None].astype("float32"), looks
        self.q, self.k, self.v, self.out = (layers.Dense(WIDTH, name=name) for name in PARTS)

    def call(self, x):
        shape = (-1, LENGTH, HEADS, WIDTH // HEADS)
        q, k, v = (ops.transpose(ops.reshape(f(x), shape), (0, 2, 1, 3)) for f in (self.q, self.k, self.v))
        q = q[:, :, self.looks]
        weights = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) * 0.5 + self.hidden)
        return self.out(ops.reshape(ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3)), (-1, q.shape[2], WIDTH)))


def keras_window(sees, looks):
    model = KerasWindow(sees, looks)
    model(keras.Input((LENGTH, WIDTH), batch_size=2))
    return model


class TorchGiven(TorchMHA):
    """PyTorch's own module under a mask."""

    def __init__(self, sees, looks):
        super().__init__()
        self.hidden, self.looks = torch.from_numpy(~sees[0]), looks

    def forward(self, x):
        return self.head(self.attn(x[:, self.looks], x, x, need_weights=False, attn_mask=self.hidden)[0])


class MasksInside(layers.MultiHeadAttention):
    """A layer that is told nothing of the window from outside."""

    sees: np.ndarray

    def _compute_attention_mask(self, *args, **kwargs):
        return ops.convert_to_tensor(self.sees)


def keras_layer(sees, looks, inside):
    x = keras.Input((LENGTH, WIDTH), batch_size=2)
    attn = (MasksInside if inside else layers.MultiHeadAttention)(HEADS, WIDTH // HEADS, name="attn")
    attn.sees = sees
    look = x[:, looks]
    y = attn(look, x) if inside else attn(look, x, attention_mask=ops.convert_to_tensor(sees))
    return keras.Model(x, layers.Dense(4, name="head")(y))


def pair(spelled, theirs, ours, looks=EVERY):
    """Both networks, the rules, and the layer in which a fault is."""
    theirs, ours = theirs[:, looks], ours[:, looks]
    if spelled in ("layer", "layer that masks inside"):
        build = partial(keras_layer, ours, looks, spelled != "layer")
        return randomise(TorchGiven(theirs, looks)), build, LAYER, "attn"
    return randomise(TorchWindow(spelled, theirs, looks)), partial(keras_window, ours, looks), WRITTEN, "out"


SPELLED = ["function", "scores", "by hand", "layer", "layer that masks inside"]
TOLD = {
    "causal, a token less": (
        (4, 0),
        "4 tokens to the left and none to the right",
        (3, 0),
        "3 tokens to the left and none to the right",
    ),
    "causal, a token more": (
        (1, 0),
        "1 token to the left and none to the right",
        (2, 0),
        "2 tokens to the left and none to the right",
    ),
    "a token less on the left": (
        (4, 4),
        "4 tokens to the left and 4 to the right",
        (3, 4),
        "3 tokens to the left and 4 to the right",
    ),
    "on one side alone": (
        (FAR, 3),
        "all tokens to the left and 3 to the right",
        (FAR, 1),
        "all tokens to the left and 1 to the right",
    ),
}


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("spelled", SPELLED)
def test_a_window_of_another_size_is_the_cause(name, spelled, hold):
    theirs, their_words, ours, our_words = TOLD[name]
    network, build, rules, layer = pair(spelled, window(*theirs), window(*ours))
    found = hold(network, build, rules, samples=2)
    finding = found.finding
    assert found.weights.equal
    assert (finding.layer, finding.cause, finding.blame) == (layer, "attention mask", "model"), finding.text
    assert finding.proved
    assert finding.after < 1e-4 < finding.before
    assert f"a window of {their_words}" in finding.text
    assert f"a window of {our_words}" in finding.text
    assert found.further == ()


@pytest.mark.parametrize(("ours", "told"), [((4, 4), "4 tokens"), ((FAR, 4), "all tokens")])
@pytest.mark.parametrize("spelled", ["function", "scores"])
def test_padding_under_a_window_is_left_out_on_both_sides(spelled, ours, told, hold):
    network, build, rules, _ = pair(spelled, window(5, 4, padded=True), window(*ours, padded=True))
    finding = hold(network, build, rules, samples=2).finding
    assert (finding.layer, finding.cause, finding.proved) == ("out", "attention mask", True)
    assert f"Keras computes attention with a window of {told} to the left and 4 to the right" in finding.text
    assert "a window of 5 tokens to the left and 4 to the right" in finding.text


@pytest.mark.parametrize("reach", [(4, 0), (3, 4)])
@pytest.mark.parametrize("spelled", SPELLED)
def test_no_alarm_where_windows_are_equal(reach, spelled, hold):
    network, build, rules, _ = pair(spelled, window(*reach), window(*reach))
    found = hold(network, build, rules, samples=2)
    assert (found.verdict, found.finding) == ("equal", None)


@pytest.mark.parametrize("spelled", ["function", "scores", "by hand"])
def test_a_mask_that_is_no_window_is_not_taken_for_one(spelled, hold):
    scattered = window(4, 4) & (np.arange(LENGTH) % 3 != np.arange(LENGTH)[:, None] % 5)
    network, build, rules, _ = pair(spelled, window(4, 4), scattered)
    finding = hold(network, build, rules, samples=2).finding
    assert (finding.layer, finding.cause, finding.proved, finding.blame) == ("out", "", False, "unknown")


def told(reach, looks):
    """A causal window as the finding has it: one token alone has nothing to its right."""
    alone = looks.stop - looks.start == 1
    return f"a window of {reach} tokens to the left{'' if alone else ' and none to the right'}"


def assert_both_told(finding, layer, theirs, ours, looks):
    assert (finding.layer, finding.cause, finding.blame) == (layer, "attention mask", "model"), finding.text
    assert finding.proved
    assert {told(theirs, looks), told(ours, looks)} <= set(SPOKEN.findall(finding.text)), finding.text


@pytest.mark.parametrize(("theirs", "ours"), [(5, 4), (4, 9)])
@pytest.mark.parametrize("looks", [ONE, FEW], ids=["one", "few"])
@pytest.mark.parametrize("spelled", SPELLED)
def test_the_last_tokens_look_through_a_window_of_another_size(spelled, looks, theirs, ours, hold):
    network, build, rules, layer = pair(spelled, window(theirs, 0), window(ours, 0), looks)
    assert_both_told(hold(network, build, rules, samples=2).finding, layer, theirs, ours, looks)


@pytest.mark.parametrize(("theirs", "ours"), [(5, 4), (4, 6)])
@pytest.mark.parametrize("looks", [slice(8, 9), slice(6, 9)], ids=["one", "few"])
@pytest.mark.parametrize("spelled", ["function", "scores", "layer"])
def test_behind_the_last_tokens_a_cache_may_have_room(spelled, looks, theirs, ours, hold):
    network, build, rules, layer = pair(spelled, window(theirs, 0), window(ours, 0), looks)
    assert_both_told(hold(network, build, rules, samples=2).finding, layer, theirs, ours, looks)


@pytest.mark.parametrize(("ours", "reach"), [(6, "6"), (FAR, "all")])
def test_padding_before_the_last_tokens_is_left_out_on_both_sides(ours, reach, hold):
    seen = np.arange(LENGTH) >= np.array([2, 4])[:, None, None]
    network, build, rules, layer = pair("function", window(8, 0) & seen, window(ours, 0) & seen, FEW)
    assert_both_told(hold(network, build, rules, samples=2).finding, layer, 8, reach, FEW)


@pytest.mark.parametrize("looks", [ONE, FEW], ids=["one", "few"])
@pytest.mark.parametrize("spelled", SPELLED)
def test_no_alarm_where_the_last_tokens_look_through_equal_windows(spelled, looks, hold):
    network, build, rules, _ = pair(spelled, window(4, 0), window(4, 0), looks)
    found = hold(network, build, rules, samples=2)
    assert (found.verdict, found.finding) == ("equal", None)


@pytest.mark.parametrize("spelled", ["function", "scores"])
def test_what_one_token_sees_is_a_window_only_where_it_lies_side_by_side(spelled, hold):
    scattered = window(6, 0) & (np.arange(LENGTH) % 3 != 1)
    network, build, rules, _ = pair(spelled, scattered, window(3, 0), ONE)
    text = hold(network, build, rules, samples=2).finding.text
    assert SPOKEN.findall(text) == [told(3, ONE)]
    assert "PyTorch with PyTorch's mask (reproduced" in text
