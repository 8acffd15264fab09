"""Weights of one shape in each other's places: the layer, the rules and the edit are named, and a trial proves it."""

from __future__ import annotations

import pytest
from verify_exchanges import EXCHANGES, text_of
from verify_networks import randomise
from verify_reorderings import REORDERINGS

from remap.report.verify_words import proof_lines


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_exchange_is_named_with_its_rules(name, hold):
    exchange = EXCHANGES[name]
    rules, lines = text_of(exchange)
    found = hold(randomise(exchange.torch()), exchange.keras, rules)
    finding = found.finding
    assert (finding.layer, finding.code, finding.proved) == (exchange.layer, exchange.code, True), finding.text
    assert finding.blame == "weights"
    for told in exchange.told:
        assert told.format(*lines) in finding.text.replace(f"{found.plan.rules.path.parent}/", "")
    assert set(exchange.further) <= {more.layer for more in found.further if more.proved}
    assert all(more.proved for more in found.further), [more.text for more in found.further]
    told = [line.text for line in proof_lines(found)]
    assert not any("write the file again" in line for line in told)


@pytest.mark.parametrize("name", REORDERINGS)
def test_another_order_of_an_axis_is_named_with_the_words_that_mend_it(name, hold):
    reordering, words = REORDERINGS[name]
    found = hold(randomise(reordering.torch()), reordering.keras, text_of(reordering)[0])
    finding = found.finding
    assert (finding.layer, finding.code, finding.proved) == (reordering.layer, reordering.code, True), finding.text
    assert finding.blame == "weights"
    for told in reordering.told:
        assert told in finding.text
    assert words in finding.hint
    assert "the weights are right" not in " ".join(line.text for line in proof_lines(found))
