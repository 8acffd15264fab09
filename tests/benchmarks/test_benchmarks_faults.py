"""Some of the seeded faults, one of each kind that the table has."""

from __future__ import annotations

import pytest
from faults import outcome
from seeded import all_faults

FAULTS = {f"{fault.network}, {fault.kind}, {fault.where}": fault for fault in all_faults()}
VERIFIED = (
    "text, attention, causal",
    "recurrent, activation, act",
    "recurrent, matrix not transposed, mid",
    "recurrent, modules exchanged, one and two",
)
REFUSED = ("recurrent, rule left out, lstm", "recurrent, layer misspelt, two", "images, modules of other shapes")


@pytest.mark.parametrize("name", VERIFIED)
def test_layer_and_cause_are_right(name, tmp_path):
    told = outcome(FAULTS[name], tmp_path)
    assert told.columns == {"layer", "cause"}, told.said


@pytest.mark.parametrize("name", REFUSED)
def test_what_names_and_shapes_tell_is_refused_by_the_plan(name, tmp_path):
    fault = next(fault for title, fault in FAULTS.items() if title.startswith(name))
    told = outcome(fault, tmp_path)
    assert told.columns == {"refused by the plan"}, told.said


def test_the_table_is_large():
    assert len(FAULTS) >= 120
