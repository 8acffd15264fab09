"""Keras models that cannot be compared as they are: what is said of them is true, and what is advised works."""

from __future__ import annotations

import re

import keras
import pytest
from keras import layers
from torch import nn
from verify_networks import randomise, rules_text

import remap
from remap.errors import TargetError, UsageError

RULES = rules_text({"first": ("first", "dense"), "last": ("last", "dense")}, ignore=False)
TEXT_RULES = rules_text({"table": ("table", "embedding"), "last": ("last", "dense")}, ignore=False)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.last(self.first(x))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.last = nn.Embedding(5, 4), nn.Linear(4, 3)

    def forward(self, ids):
        return self.last(self.table(ids).mean(1))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.last = layers.Dense(5, name="first"), layers.Dense(3, name="last")

    def call(self, x):
        return self.last(self.first(x))


def sequential():
    return keras.Sequential([layers.Dense(5, name="first"), layers.Dense(3, name="last")])


def verified(tmp_path, model, network=Two, rules=RULES):
    (tmp_path / "rules.toml").write_text(rules)
    module = randomise(network())
    return remap.verify(tmp_path / "rules.toml", module.state_dict(), model, module)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_half_precision_is_named_as_precision(dtype, tmp_path):
    def model():
        inputs = keras.Input((4,))
        hidden = layers.Dense(5, name="first", dtype=dtype)(inputs)
        return keras.Model(inputs, layers.Dense(3, name="last", dtype=dtype)(hidden))

    told = verified(tmp_path, model)
    assert told.verdict == "differ"
    assert (told.finding.cause, told.finding.layer, told.finding.proved) == ("precision", "first", False)
    assert f"in {dtype.removeprefix('mixed_')}, while all else is in single precision" in told.finding.text
    assert "set_dtype_policy('float32')" in told.finding.hint


def test_single_precision_is_no_finding_in_single_precision(tmp_path):
    def model():
        inputs = keras.Input((4,))
        hidden = layers.Dense(5, lambda x: 1.1 * x + 0.3, name="first")(inputs)
        return keras.Model(inputs, layers.Dense(3, name="last")(hidden))

    told = verified(tmp_path, model)
    assert told.verdict == "differ"
    assert told.finding.cause != "precision"


def with_text():
    inputs = keras.Input((1,), dtype="string", name="words")
    ids = layers.TextVectorization(vocabulary=["a", "b", "c"], output_sequence_length=4, name="ids")(inputs)
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(5, 4, name="table")(ids))
    return keras.Model(inputs, layers.Dense(3, name="last")(mean))


def test_a_model_that_takes_text_is_told_what_to_give(tmp_path):
    with pytest.raises(UsageError, match=r"(?s)takes text.*input words") as failure:
        verified(tmp_path, with_text, Words, TEXT_RULES)
    advice = re.search(r"fix: return (keras\.Model\(.*?outputs\)), NAME", str(failure.value))[1]

    def advised():
        return eval(advice, {"keras": keras, "model": with_text(), "NAME": "ids"})

    assert verified(tmp_path, advised, Words, TEXT_RULES).verdict == "equal"


@pytest.mark.parametrize("make", [lambda: Subclassed(), sequential])
def test_a_model_that_is_not_built_is_told_how(make, tmp_path):
    with pytest.raises(TargetError, match="no weights yet") as failure:
        verified(tmp_path, make)
    advice = re.search(r"in the callable: (.*), then", str(failure.value))[1]
    for call in advice.replace("Input(shape)", "Input((4,))").replace("build(shape)", "build((None, 4))").split(" or "):

        def advised(call=call):
            model = make()
            eval(call, {"keras": keras, "model": model})
            return model

        assert verified(tmp_path, advised).verdict == "equal", call
