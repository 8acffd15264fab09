"""A trial that raises is a trial that failed: counted, named on demand, and never the end of a run."""

from __future__ import annotations

import json

import pytest
from verify_causes import SEEDED
from verify_networks import randomise

from remap.cli.main import main
from remap.errors import CheckError
from remap.proving import explain
from remap.proving.cause import Cause
from remap.proving.causes import CAUSES
from remap.proving.trial import Trial
from remap.report.verify_data import verified_data
from remap.report.verify_words import proof_lines


def looks(site):
    """Fails while it is being asked for its second trial."""
    yield Trial("nothing", lambda: site.row.missing)
    raise KeyError("a setting")


def refuses(site):
    raise ZeroDivisionError("at once")


def cause(code, trials):
    return Cause(code, "broken", "it is broken", "model", "", trials)


BROKEN = (cause("V998", looks), cause("V999", refuses))
FAILED = [("V998", "nothing", "AttributeError"), ("V998", "", "KeyError"), ("V999", "", "ZeroDivisionError")]


def held(hold):
    fault = SEEDED["V301"].fault
    return hold(randomise(fault.torch()), fault.keras, fault.rules)


def failures(finding):
    return [(trial.code, trial.text, trial.error.split(":")[0]) for trial in finding.failed]


def test_the_causes_behind_it_are_tried(hold, monkeypatch):
    monkeypatch.setattr(explain, "CAUSES", (*BROKEN, *CAUSES))
    found = held(hold)
    assert (found.finding.code, found.finding.proved) == ("V301", True)
    assert failures(found.finding)[:3] == FAILED
    assert found.finding.tried > 1
    data = json.loads(json.dumps(verified_data(found)))["finding"]["failed"]
    assert [(trial["code"], trial["text"]) for trial in data[:3]] == [(code, text) for code, text, _ in FAILED]


def test_where_nothing_holds_it_is_counted(hold, monkeypatch):
    monkeypatch.setattr(explain, "CAUSES", BROKEN)
    found = held(hold)
    assert (found.finding.code, found.finding.proved, found.finding.layer) == ("", False, "act")
    assert failures(found.finding) == FAILED
    assert any(line.text.startswith("3 trials could not run") for line in proof_lines(found))


def test_the_way_back_may_fail_too(hold, monkeypatch):
    def lost(*args):
        raise IndexError("nowhere")

    monkeypatch.setattr(explain, "find_site", lost)
    found = held(hold)
    assert found.verdict == "differ"
    assert (found.finding.layer, found.finding.proved) == ("head", False)
    assert found.finding.failed[0].error == "IndexError: nowhere"


@pytest.mark.parametrize("debug", [True, False])
def test_debug_names_them(debug, capsys, fixtures, monkeypatch):
    monkeypatch.setattr(explain, "CAUSES", BROKEN)
    folder = fixtures / "conv_bn"
    arguments = [folder / "conv_bn.toml", folder / "conv_bn.safetensors", "--model-arg", "padding=same"]
    arguments += ["--model", f"{folder}/keras_model.py:build", "--torch", f"{folder}/torch_model.py:build"]
    with pytest.raises(CheckError if debug else SystemExit):  # --debug lets an error through
        main([*["--debug"][:debug], "verify", *map(str, arguments)])
    out = capsys.readouterr().out
    assert ("trial failed: V998 with nothing: AttributeError" in out) == debug
    assert ("trial failed: V999: ZeroDivisionError: at once" in out) == debug
