"""Every code of a cause: a small fault that has it, told with its layer and whom it blames, and what the code means."""

from __future__ import annotations

import json

import pytest
from verify_causes import SEEDED
from verify_networks import randomise

import remap
from remap.proving.causes import BY_CODE, CAUSES
from remap.report.verify_data import verified_data
from remap.report.verify_words import proof_lines

STATED = {"V501": [], "V111": ["conv"]}
"""Where settings tell another layer, or none: the scale of V501 is no setting, but set past the layer's own."""


def code_of(name):
    """A row is called by the code, and by what tells it from others of the code."""
    return name.partition(":")[0]


@pytest.mark.parametrize("name", SEEDED)
def test_a_fault_is_told_with_its_code(name, hold, tmp_path):
    code, seeded = code_of(name), SEEDED[name]
    fault, options = seeded.fault, seeded.options
    if seeded.weights is not None:
        model, options = fault.keras(), {**options, "weights": tmp_path / "other.weights.h5"}
        seeded.weights(model)
        model.save_weights(options["weights"])
    found = hold(randomise(fault.torch()), fault.keras, fault.rules, **options)
    finding = found.finding
    assert (finding.code, finding.also, finding.layer) == (code, seeded.also, fault.layer), finding.text
    assert (finding.proved, finding.blame) == (True, fault.blame), finding.text
    assert finding.tried and finding.hint
    data = json.loads(json.dumps(verified_data(found)))["finding"]
    assert (data["code"], data["also"]) == (code, list(seeded.also))
    told = next(line.text for line in proof_lines(found) if line.label == "cause")
    assert told.endswith(f"[{', '.join((code, *seeded.also))}]")


def test_every_code_is_in_the_table():
    assert set(map(code_of, SEEDED)) == set(BY_CODE)
    assert len(BY_CODE) == len(CAUSES)


@pytest.mark.parametrize("name", [name for name in SEEDED if BY_CODE[code_of(name)].differs is not None])
def test_a_cause_that_settings_tell_is_told_without_a_run(name, tmp_path):
    fault = SEEDED[name].fault
    network = fault.torch()
    (tmp_path / "rules.toml").write_text(fault.rules)
    found = remap.verify(tmp_path / "rules.toml", network.state_dict(), fault.keras, network, static=True)
    told = [entry for entry in found.audit if entry.code == code_of(name)]
    assert [entry.layer for entry in told][:1] == STATED.get(name, [fault.layer])


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.code)
def test_a_cause_says_what_it_is_and_what_mends_it(cause, remap_command):
    assert cause.about and cause.hint
    ran = remap_command("verify", "--explain", cause.code.lower())
    assert ran.code == 0
    assert ran.out.splitlines()[0] == f"{cause.code} {cause.name}: {cause.about}"
    assert cause.hint in ran.out


def test_a_code_that_is_none_is_told_with_those_that_are(remap_command):
    ran = remap_command("verify", "--explain", "V999")
    assert ran.code == 2
    assert "V999" in ran.err and "V101" in ran.err
