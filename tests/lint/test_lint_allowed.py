"""``allow`` answers a finding, for a rule or for the whole file; answers that answer nothing are findings."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from remap.errors import RuleError
from remap.lint.lint import lint

ROW = "[move.dense]\n'a.w' = {{ to = 'x', allow = [{}] }}\n'b.w' = 'y'\n"


@pytest.fixture
def linted(tmp_path):
    def make(text: str, *keys: str):
        (tmp_path / "rules.toml").write_text(f"format = 1\n{text}")
        save_file({key: np.ones((2, 3), np.float32) for key in keys}, tmp_path / "net.safetensors")
        found = lint(tmp_path / "rules.toml", tmp_path / "net.safetensors" if keys else None)
        return [(finding.code, finding.place.line) for finding in found]

    return make


def test_without_an_answer_both_rules_are_told(linted):
    assert linted(ROW.format("")) == [("R106", 3), ("R106", 4)]


def test_an_answer_of_a_rule_is_for_that_rule_alone(linted):
    assert linted(ROW.format("'R106: any character is meant'")) == [("R106", 4)]


def test_an_answer_of_the_file_is_for_all_of_it(linted):
    assert linted("allow = ['R106: any character is meant']\n" + ROW.format("")) == []


def test_an_answer_in_a_list_of_rules(linted):
    assert linted("[[rename]]\nmatch = 'a.w'\nto = 'x'\nallow = ['R106: meant']\n") == []


def test_an_answer_that_nothing_needs_is_a_finding(linted):
    text = "[move.dense]\n'a' = { to = 'x', allow = ['R106: any'] }\n"
    assert linted(text) == [("R207", 3)]


def test_an_answer_of_another_form_is_a_finding_and_answers_nothing(linted):
    for answer in ("R106", "R106:", "R999: why", "because"):
        assert linted(f"allow = ['{answer}']\n[move.dense]\n'a.w' = 'x'\n") == [("R207", 2), ("R106", 4)], answer


def test_without_a_checkpoint_nobody_knows_whether_its_findings_are_answered(linted):
    text = "allow = ['R402: read']\n[move.dense]\n'a' = 'x'\n"
    assert linted(text) == []
    assert linted(text, "a.weight") == [("R207", 2)]


def test_errors_cannot_be_allowed(linted):
    text = "[move.dense]\n'a' = 'x'\n'b' = { to = 'y', allow = ['R101: it may come'] }\n"
    assert ("R101", 4) in linted(text, "a.weight")


def test_allow_is_a_list(tmp_path):
    (tmp_path / "rules.toml").write_text("format = 1\nallow = 'R106: x'\n")
    with pytest.raises(RuleError):
        lint(tmp_path / "rules.toml")
