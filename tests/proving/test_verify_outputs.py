"""Outputs are held against what they are; one that is held against nothing is never passed over."""

from __future__ import annotations

import keras
import pytest
import torch
from keras import layers
from torch import nn
from verify_networks import randomise, rules_text

from remap.errors import UsageError
from remap.report.verify_words import failure, headline, proof_lines

RULES = rules_text({"body": ("body", "dense"), "head": ("head", "dense")}, ignore=False)
HEADLESS = rules_text(
    {"body": ("body", "dense")}, "[[ignore]]\nmatch = 'head\\..*'\nreason = 'the head'\n", ignore=False
)
FEATURES, LOGITS = 6, 3


class Net(nn.Module):
    """Features and logits, of which it gives what ``give`` says."""

    def __init__(self, give, logits=LOGITS):
        super().__init__()
        self.body, self.head, self.give = nn.Linear(4, FEATURES), nn.Linear(FEATURES, logits), give

    def forward(self, x):
        features = torch.tanh(self.body(x))
        return self.give(features, self.head(features))


def network(give, logits=LOGITS):
    return randomise(Net(give, logits))


def model(give, logits=LOGITS):
    def build():
        x = keras.Input((4,), name="x")
        features = layers.Dense(FEATURES, "tanh", name="body")(x)
        return keras.Model(x, give(features, lambda: layers.Dense(logits, name="head")(features)))

    return build


def doubled(value):
    return layers.Rescaling(2.0, name="doubled")(value)


def words(verified):
    return "\n".join(f"{line.label}: {line.text}" for line in proof_lines(verified))


BOTH = lambda f, z: (f, z)  # noqa: E731
ALL = lambda f, head: [f, head()]  # noqa: E731
DOUBLED = lambda f, head: [f, doubled(head())]  # noqa: E731


@pytest.mark.parametrize("size", [LOGITS, FEATURES])
def test_logits_are_held_against_logits_though_features_come_first(hold, size):
    right = hold(network(lambda f, z: z, size), model(ALL, size), RULES)
    assert right.verdict == "equal"
    assert [(row.layer, row.module) for row in right.outputs] == [("0", "tanh"), ("1", "1")]
    wrong = hold(network(lambda f, z: z, size), model(DOUBLED, size), RULES)
    assert wrong.verdict == "differ"
    assert {row.layer: row.outcome for row in wrong.outputs} == {"0": "equal", "1": "differs"}


def test_what_one_side_alone_gives_is_not_passed_over(hold):
    more = lambda f, z: (z, torch.sort(z, descending=True)[0])  # noqa: E731
    verified = hold(network(more), model(lambda f, head: head()), RULES)
    assert verified.verdict == "incomplete" and not verified.proved
    assert "--ignore-output torch:1" in words(verified)
    assert "only PyTorch gives it" in failure(verified)
    told = hold(network(more), model(lambda f, head: head()), RULES, ignore_outputs=["torch:1"])
    assert told.verdict == "equal" and "as --ignore-output says" in words(told)
    ours = hold(network(lambda f, z: z), model(lambda f, head: [head(), doubled(f)]), RULES)
    assert ours.verdict == "incomplete"
    assert "--ignore-output keras:1" in words(ours)
    assert hold(network(lambda f, z: z), model(DOUBLED), RULES, ignore_outputs=["keras:1"]).verdict == "equal"
    with pytest.raises(UsageError, match="no such output"):
        hold(network(more), model(lambda f, head: head()), RULES, ignore_outputs=["scores"])


def test_a_head_that_rules_leave_behind_needs_no_counterpart(hold):
    verified = hold(network(lambda f, z: z), model(lambda f, head: f), HEADLESS)
    assert verified.verdict == "equal"
    assert "it comes out of head, which the rules leave behind (rules.toml:" in words(verified)
    twice = hold(network(lambda f, z: (z, torch.cat([f, f], 1))), model(lambda f, head: f), HEADLESS)
    assert twice.verdict == "incomplete"
    assert [row.accounted for row in twice.outputs] == [False, True, False]


def test_what_a_layer_gives_on_its_way_counts(hold):
    verified = hold(network(lambda f, z: {"features": f, "logits": z}), model(lambda f, head: head()), RULES)
    assert verified.verdict == "equal"
    assert "output features: equal, as body" in words(verified)
    way = lambda f, z: {"thrice": z * 3, "logits": z * 3 / 3}  # noqa: E731
    on_its_way = hold(network(way), model(lambda f, head: head()), RULES)
    assert on_its_way.verdict == "equal"
    assert "output thrice: not compared: what PyTorch makes from it is equal" in words(on_its_way)


def test_another_order_is_said_to_be_that(hold):
    for size in (LOGITS, FEATURES):
        verified = hold(network(BOTH, size), model(lambda f, head: [head(), f], size), RULES)
        assert verified.verdict == "order" and not verified.proved
        assert headline(verified) == "the outputs are equal, but stand in another order"
        assert verified.exchanged == (("0", "1"), ("1", "0"))
        assert "Keras's output 0 is PyTorch's 1, Keras's output 1 is PyTorch's 0" in failure(verified)
    named = lambda f, head: {"logits": head(), "features": f}  # noqa: E731
    assert hold(network(lambda f, z: {"features": f, "logits": z}), model(named), RULES).verdict == "equal"
