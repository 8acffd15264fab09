"""Seeded faults: verify names the layer and the cause, and says whose fault it is; no alarm without a fault."""

from __future__ import annotations

import pytest
from verify_faults import FAULTS, RIGHT
from verify_more_faults import MORE_FAULTS, MORE_RIGHT
from verify_networks import randomise

ALL_FAULTS, ALL_RIGHT = FAULTS | MORE_FAULTS, RIGHT | MORE_RIGHT


@pytest.mark.parametrize("name", ALL_FAULTS)
def test_a_single_fault_is_found_and_its_cause_proved(name, hold):
    fault = ALL_FAULTS[name]
    found = hold(randomise(fault.torch()), fault.keras, fault.rules)
    assert found.verdict == "differ"
    assert found.weights.equal
    finding = found.finding
    assert (finding.layer, finding.cause, finding.blame) == (fault.layer, fault.cause, fault.blame), finding.text
    assert finding.proved
    assert finding.after < 1e-4
    assert finding.before is None or finding.before > 2 * finding.after


@pytest.mark.parametrize("name", ALL_RIGHT)
def test_no_alarm_where_nothing_is_wrong(name, hold):
    right = ALL_RIGHT[name]
    found = hold(randomise(right.torch()), right.keras, right.rules)
    assert found.verdict == "equal", found.finding
    assert found.finding is None
    assert not found.untraced
    assert {row.outcome for row in (*found.rows, *found.outputs)} == {"equal"}


def test_a_shared_layer_is_compared_at_every_call(hold):
    right = RIGHT["shared layer"]
    found = hold(randomise(right.torch()), right.keras, right.rules)
    assert [row.layer for row in found.rows] == ["fc", "fc", "head"]


def test_dropout_left_on_in_pytorch_is_not_blamed_on_keras(hold):
    from verify_networks import CNN_RULES, TorchCNN, keras_cnn, rules_text

    found = hold(randomise(TorchCNN(functional_dropout=True)), keras_cnn, rules_text(CNN_RULES))
    assert found.finding.cause == "dropout left on"
    assert found.finding.blame == "torch"


def test_layers_inside_of_one_module_are_listed_with_the_reason(hold):
    from verify_sequences import TorchDeep, keras_deep

    rules = "format = 1\n[[rename]]\nmatch = 'rnn'\nto = 'rnn{layer}'\nlayout = \"lstm\"\n"
    rules += "[[rename]]\nmatch = 'head'\nto = 'head'\nlayout = \"dense\"\n"
    found = hold(randomise(TorchDeep()), keras_deep, rules)
    assert found.verdict == "equal"
    assert [(row.layer, row.outcome) for row in found.rows] == [
        ("rnn0", "not compared"),
        ("rnn1", "equal"),
        ("head", "equal"),
    ]
    assert found.untraced == {"rnn0": "a layer inside of rnn, which is one in PyTorch"}
