"""Inputs are drawn as what they are: told by names, by what the models do with them, or by the user."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from torch import nn
from verify_networks import randomise, rules_text

from remap.proving.inputs import draw, parse_input, settle_inputs
from remap.report.verify_words import headline, proof_lines
from remap.sides.feed import InputKind, KerasInput
from remap.sides.keras.inputs import keras_inputs

WORDS, WIDTH, LENGTH = 20, 6, 8
HIDDEN = -1e9
RULES = rules_text(
    {name: (name, "dense") for name in ("q", "k", "v", "head")} | {"words": ("words", "embedding")}, ignore=False
)


class Encoder(nn.Module):
    """One head of attention that sees what the mask says, and the mean of what it makes of that."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, a, b):
        x = self.words(a)
        scores = self.q(x) @ self.k(x).transpose(1, 2) / WIDTH**0.5
        scores = scores.masked_fill(b[:, None, :] == 0, HIDDEN)
        seen = b[:, :, None].to(x.dtype)
        mean = (torch.softmax(scores, -1) @ self.v(x) * seen).sum(1) / seen.sum(1)
        return self.head(mean)


class Attend(layers.Layer):
    """The same in Keras, by adding a large negative number: equal for masks of 0 and 1 alone."""

    def call(self, q, k, v, b):
        b = ops.cast(b, q.dtype)
        scores = ops.matmul(q, ops.transpose(k, (0, 2, 1))) / WIDTH**0.5 + (1.0 - b[:, None, :]) * HIDDEN
        return ops.sum(ops.matmul(ops.softmax(scores), v) * b[:, :, None], 1) / ops.sum(b, 1, keepdims=True)


def build(names=("ids", "padding_mask"), blind=False):
    ids, mask = (keras.Input((LENGTH,), dtype="int32", name=name) for name in names)
    x = layers.Embedding(WORDS, WIDTH, name="words")(ids)
    q, k, v = (layers.Dense(WIDTH, name=name)(x) for name in ("q", "k", "v"))
    seen = ops.ones_like(mask) if blind else mask
    return keras.Model([ids, mask], layers.Dense(3, name="head")(Attend(name="attend")(q, k, v, seen)))


def words(verified):
    return "\n".join(f"{line.label}: {line.text}" for line in proof_lines(verified))


def test_a_text_encoder_with_a_padding_mask(hold):
    named = hold(randomise(Encoder()), build, RULES, samples=2)
    assert named.verdict == "equal", named.finding
    assert "input: ids int64[2, 8]: ids from 0 to 19" in words(named)
    assert "input: padding_mask int64[2, 8]: a mask: ones first, then zeros" in words(named)
    assert hold(randomise(Encoder()), lambda: build(blind=True), RULES).verdict == "differ"


def test_a_mask_that_nothing_tells_can_be_told(hold):
    unnamed = lambda: build(("a", "b"))  # noqa: E731
    wrong = hold(randomise(Encoder()), unnamed, RULES, inputs=["b=ids[1,8]<9"])
    assert wrong.verdict == "differ" and not wrong.guessed
    assert hold(randomise(Encoder()), unnamed, RULES, inputs=["b=mask[1,8]"]).verdict == "equal"


class Positions(nn.Module):
    """Equal in both frameworks for positions in order alone."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(LENGTH, 3)

    def forward(self, x):
        return self.head(x.float())


class Reordered(layers.Layer):
    def call(self, x):
        return ops.cast(ops.sort(x), "float32")


def positions():
    x = keras.Input((LENGTH,), dtype="int32", name="x")
    return keras.Model(x, layers.Dense(3, name="head")(Reordered(name="sorted")(x)))


def test_where_a_guess_may_be_wrong_the_likelier_kinds_are_tried(hold):
    rules = rules_text({"head": ("head", "dense")}, ignore=False)
    verified = hold(randomise(Positions()), positions, rules)
    assert verified.verdict == "differ" and not verified.proved
    assert verified.guessed == ("x",)
    assert verified.likelier == ("x=positions[1,8]",)
    assert headline(verified) == "the outputs differ on an input that may not be one"
    assert "fix: --input 'x=positions[1,8]'" in words(verified)
    said = hold(randomise(Positions()), positions, rules, inputs=["x=positions[1,8]"])
    assert said.verdict == "blind"  # there is but one such input
    assert {row.outcome for row in said.outputs} == {"equal"}


@pytest.mark.parametrize(
    ("names", "dtype", "expected"),
    [
        (("token_ids", ""), "int64", "ids"),
        (("x", "attention_mask"), "float32", "mask"),
        (("x", "inputIds"), "int64", "ids"),
        (("segment_ids", ""), "int64", "types"),
        (("position_ids", ""), "int64", "positions"),
        (("audio_lengths", ""), "int64", "lengths"),
        (("hidden_positions", ""), "float32", "numbers"),
        (("flags", ""), "bool", "mask"),
    ],
)
def test_kinds_are_told_by_the_names_of_both_sides(names, dtype, expected):
    given = parse_input(f"{names[0]}={dtype}[2,8]")
    specs = settle_inputs(given, None, signature=[names[1]])
    assert (str(specs[0].kind), specs[0].guessed) == (expected, False)


def test_what_is_drawn_is_what_an_input_can_be():
    texts = ["a=mask[3,9]", "b=positions[3,9]", "c=types[3,9]<2", "d=lengths[3]", "e=pixels[3,3,8,8]", "f=ids[3,9]<40"]
    specs = settle_inputs([spec for text in texts for spec in parse_input(text)], None)
    mask, order, types, lengths, pixels, ids = (feed.torch for feed in draw(specs, None, 0))
    assert set(np.unique(mask)) == {0, 1} and (np.diff(mask) <= 0).all() and (mask.sum(1) >= 1).all()
    assert (order == np.arange(9)).all()
    assert set(np.unique(types)) == {0, 1}
    assert (lengths >= 1).all() and (lengths <= 9).all() and lengths.shape == (3,)
    assert pixels.dtype == "float32" and 200 < pixels.max() <= 255 and pixels.min() >= 0
    assert 20 < ids.max() < 40


def test_what_the_keras_model_does_tells_masks_and_pixels():
    image, ids, mask, other = (
        keras.Input((8, 8, 3), name="i"),
        keras.Input((4,), dtype="int32", name="t"),
        keras.Input((4,), name="m"),
        keras.Input((4, 4), dtype="int32", name="o"),
    )
    x = layers.Embedding(9, 4)(ids) + ((1.0 - mask) * -1e4)[:, :, None]
    x = layers.MultiHeadAttention(1, 4)(x, x, attention_mask=other)
    y = layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(image))
    told = keras_inputs(keras.Model([image, ids, mask, other], [x, y]))
    assert [entry.kind for entry in told] == [InputKind.PIXELS, None, InputKind.MASK, InputKind.MASK]
    assert told[1] == KerasInput("t", (4,), "int32", bound=9)
