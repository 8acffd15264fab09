"""Questions about patterns as regular languages, against Python's own engine on all short names."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remap.rules.automaton import automaton, common_name, explodes, holds
from remap.rules.syntax import parse_regex

NAMES = ["".join(letters) for n in range(5) for letters in itertools.product("ab.", repeat=n)]
ATOMS = st.sampled_from(["a", "b", r"\.", ".", "[ab]", "[^a]"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=5,
)


def matched(pattern):
    return {name for name in NAMES if re.fullmatch(pattern, name)}


def of(pattern):
    return automaton(parse_regex(pattern))


@settings(max_examples=300, deadline=None)
@given(PATTERNS, PATTERNS)
def test_common_name_is_matched_by_both_and_found_where_there_is_one(one, other):
    name = common_name(of(one), of(other))
    if name is None:
        assert not matched(one) & matched(other)
    else:
        assert re.fullmatch(one, name)
        assert re.fullmatch(other, name)


@settings(max_examples=300, deadline=None)
@given(PATTERNS, PATTERNS)
def test_holds_agrees_with_all_short_names(larger, smaller):
    if holds(of(larger), of(smaller)):
        assert matched(smaller) <= matched(larger)


@pytest.mark.parametrize(
    "larger, smaller, answer",
    [
        (r".*\.b", r"a\d+\.b", True),
        (r"a\d\.b", r"a\d+\.b", False),
        ("a|b", "[ab]", True),
        ("[ab]", "a|b|c", False),
        ("a*", "a+", True),
        ("a+", "a*", False),
        ("(?:ab)*", "a(?:ba|bb)*b", False),
        ("[ab]*", "a(?:ba|bb)*b", True),
    ],
)
def test_holds(larger, smaller, answer):
    assert holds(of(larger), of(smaller)) is answer


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a*)*", "(?:a|aa)+b", r"(?:\w+\.?)+x", "(?:a{2,3})+", "(?:a?b?a?)*c"])
def test_patterns_that_explode(pattern):
    assert explodes(of(pattern))


@pytest.mark.parametrize(
    "pattern", ["a*b*c*", r"(?:\w+\.)*conv", r"layer\d+\.\d+", ".*a.*b.*", "(?:ab|ac)*", "(?:a{2})+"]
)
def test_patterns_that_do_not(pattern):
    assert not explodes(of(pattern))
