"""A short run of the mutations: nothing crashes, hangs or takes memory."""

from __future__ import annotations

import mutate
import pytest

pytestmark = pytest.mark.no_cover  # the same roads thousands of times, so that counting lines doubles their time


def test_a_few_hundred_mutations(capsys):
    bad = mutate.main(["25", "--seed", "7"])
    said = capsys.readouterr().out
    assert bad == 0, said
    lines = said.splitlines()[1 : 1 + len(mutate.READERS)]
    assert [line.split()[0] for line in lines] == list(mutate.READERS)
    assert all(sum(map(int, line.split()[2:5])) == 25 for line in lines)
    assert sum(int(line.split()[2]) for line in lines) > 100


def test_what_crashes_is_counted(monkeypatch, capsys):
    """The measure itself: a reader that dies, and one that is slow."""
    told = {"st": [(0, "read", 0.1, 5), (1, "crashed", 0.0, 0), (2, "refused", 9.0, 5)]}
    monkeypatch.setattr(mutate, "outcomes", lambda reader, inputs, seed: iter(told[reader]))
    assert mutate.main(["3", "--reader", "st"]) == 2
    out = capsys.readouterr().out
    assert out.splitlines()[1].split() == ["st", "3", "1", "1", "1", "1", "5", "KB"]
    assert "st, input 1 of seed 0: crashed" in out
