"""Patterns: the shorthand, both engines, and that no pattern can hang the tool or take its memory."""

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from remap.cli.main import main
from remap.rules import pattern as patterns
from remap.rules.pattern import PatternError, Patterns, captures_of, expand, needs_backtracking

WRITTEN = (
    st.lists(
        st.sampled_from(
            ["a", "b", r"\.", r"\d", "[ab]", "a*", "(?:a|b)", "(?P<x>a+)", "b{1,2}", "b{,2}", ".", "(?=a)a", r"\w"]
        ),
        min_size=1,
        max_size=4,
    )
    .filter(lambda parts: parts.count("(?P<x>a+)") < 2)
    .map("".join)
)
NAMES = st.text(alphabet="ab.1", max_size=6)


@settings(max_examples=400, deadline=None)
@given(st.lists(WRITTEN, min_size=1, max_size=4), NAMES)
def test_both_engines_agree_with_pythons_own(written, name):
    found = Patterns(written)
    expected = [i for i, text in enumerate(written) if re.fullmatch(text, name)]
    assert found.match(name) == expected
    for i in expected:
        own = re.fullmatch(written[i], name).groupdict()
        assert found.captures(i, name) == {key: text or "" for key, text in own.items()}


def test_index_is_any_number_of_digits():
    found = Patterns([r"layer_<i>\.w"])
    assert [found.captures(0, name) for name in ("layer_1.w", "layer_10.w") if found.match(name)] == [
        {"i": "1"},
        {"i": "10"},
    ]
    assert not found.match("layer_.w")


@pytest.mark.parametrize("name", ["xlayer1", "layer1x", "layer1.w", ""])
def test_a_part_of_a_name_is_no_match(name):
    assert Patterns(["layer<i>"]).match(name) == []


def test_captures_come_in_the_order_of_the_pattern():
    assert list(Patterns([r"a<z>\.<m>\.<a>"]).captures(0, "a1.2.3")) == ["z", "m", "a"]


def test_shorthand_leaves_groups_alone():
    written = r"(?P<role>q|k)<i>(?<!x)(?P=role)\<y>"
    assert expand(written) == r"(?P<role>q|k)(?P<i>\d+)(?<!x)(?P=role)\<y>"


def test_names_beyond_ascii():
    assert Patterns([r"é<i>"]).captures(0, "é12") == {"i": "12"}


def test_no_pattern_matches_nothing():
    assert Patterns([]).match("a") == []


@pytest.mark.parametrize("count", [1, 300])
def test_exponential_patterns_take_linear_time(count):
    found = Patterns([r"(?:\w+\.?)+!"] * count)
    started = time.process_time()
    assert found.match("a" * 5000) == []
    assert time.process_time() - started < 2


def test_backtracking_is_cut_off(monkeypatch):
    monkeypatch.setattr(patterns, "TIME_LIMIT", 0.2)
    found = Patterns([r"(?!b)(?:\w|\w\w)+\d"])
    started = time.process_time()
    with pytest.raises(PatternError, match="it backtracks"):
        found.match("a" * 200)
    assert time.process_time() - started < 5


def test_backtracking_is_cut_off_over_all_names(monkeypatch):
    monkeypatch.setattr(patterns, "TIME_LIMIT_IN_ALL", 0.3)
    found = Patterns([r"(?!b)(?:\w|\w\w)+\d"])
    started = time.process_time()
    with pytest.raises(PatternError, match="it backtracks"):
        for _ in range(10_000):
            found.match("a" * 18)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "written", ["((a{99}){99}){99}", "(?=a)((a{99}){99}){99}", "a{1000000000}", "(" * 5000 + ")" * 5000]
)
def test_patterns_that_would_fill_the_memory_are_refused(written):
    with pytest.raises(PatternError):
        captures_of(written)


def test_only_what_is_beyond_the_linear_engine_backtracks():
    assert [needs_backtracking(text) for text in (r"a<i>", r"(?:a+)+", r"(?!a)b", r"(a)\1", "a{,3}")] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_command_with_a_pattern_that_would_take_minutes_ends_soon(tmp_path, capsys):
    rules, out = tmp_path / "r.toml", tmp_path / "out.h5"
    rules.write_text("format = 1\n[[ignore]]\nmatch = '(?!b)(?:\\w|\\w\\w)+\\d'\nreason = 'x'\n")
    checkpoint = tmp_path / "c.safetensors"

    save_file({"a" * 200: np.zeros(1, np.float32)}, checkpoint)
    started = time.process_time()
    with pytest.raises(SystemExit) as exited:
        main(["apply", str(rules), str(checkpoint), "-o", str(out)])
    assert time.process_time() - started < 10
    assert exited.value.code == 6
    text = capsys.readouterr().err
    assert "a pattern takes too long" in text
    assert "Traceback" not in text
    assert not out.exists()
