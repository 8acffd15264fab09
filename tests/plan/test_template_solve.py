"""Templates backwards: the captures that filled them come out again, for shipped templates and for made-up ones."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remap.rules.load import load_rules
from remap.rules.pattern import Patterns, expand
from remap.rules.shipped import shipped_names
from remap.rules.solve import UnsolvableError, solve
from remap.rules.template import TemplateError, parse_template

TABLES = {
    "roles": {"q": "query", "k": "key", "v": "value"},
    "again": {"a": "one", "b": "one", "c": "two"},
    "numbers": {"x": 3, "y": 4},
    "ranks": {"0": "zero", "1": "one", "2": "two"},
}


def shipped_templates():
    """Each template of the shipped files once, with the patterns whose captures fill it, parameters and tables."""
    seen = {}
    for name in shipped_names():
        rules = load_rules(name)
        params = {name: str(param.default) for name, param in rules.params.items() if param.default is not None}
        for rule in rules.renames:
            inner = [source for e in rules.layout_of(rule.spec).values() for source in _patterns(e)]
            for to in [rule.spec.to] if isinstance(rule.spec.to, str) else rule.spec.to:
                missing = parse_template(to).names - params.keys()
                if missing:
                    seen.setdefault((to, rule.spec.match), (tuple(inner), params, rules.tables))
        for rule in rules.derives:
            seen.setdefault((rule.spec.to, next(iter(rule.spec.sources.values()))), ((), params, rules.tables))
    return [(to, match, *rest) for (to, match), rest in seen.items()]


def _patterns(expression):
    sources = expression.sources if isinstance(expression.sources, list) else [expression.sources]
    return [source if isinstance(source, str) else source.tensor for source in sources]


def captures_by(match, inner, names):
    """Captures as real names of tensors give them: of the rule's pattern, and of its layout's where it has some."""
    patterns = [match, *(pattern for pattern in inner if any(f"<{name}>" in pattern for name in names))][:2]
    drawn = st.tuples(*(st.from_regex(re.compile(expand(p), re.ASCII), fullmatch=True) for p in patterns))
    plain = re.compile(r"[\x20-\x7e]*")

    def captured(texts):
        found = {}
        for pattern, text in zip(patterns, texts, strict=True):
            found |= Patterns([pattern]).captures(0, text)
        return {name: text for name, text in found.items() if name in names}

    return drawn.filter(lambda texts: all(plain.fullmatch(text) for text in texts)).map(captured)


def in_plain_numbers(captures):
    """Numbers below 150 without zeros in front, as lists of modules have them."""
    return {name: str(int(text) % 150) if text.isdigit() else text for name, text in captures.items()}


SHIPPED = shipped_templates()


def test_there_are_templates_to_solve():
    assert len(SHIPPED) > 300


@settings(max_examples=800, deadline=None)
@given(st.data())
def test_shipped_templates_give_their_captures_back(data):
    to, match, inner, params, tables = data.draw(st.sampled_from(SHIPPED))
    template = parse_template(to)
    captures = in_plain_numbers(data.draw(captures_by(match, inner, template.names)))
    known = {name: text for name, text in params.items() if name not in captures}
    try:
        name = template.fill({**known, **captures}, tables)
    except TemplateError:  # a role that the table lacks
        return
    candidates = solve(template, name, tables, known)
    assert captures in candidates
    assert all(template.fill({**known, **each}, tables) == name for each in candidates)
    assert re.fullmatch(template.regex(tables), name)


def parts():
    """Pieces of templates, each with the captures that it uses."""
    numbers = st.sampled_from(["i", "j"])
    small = st.integers(1, 5)
    return st.one_of(
        numbers.map(lambda n: (f"{{{n}}}", {n})),
        st.builds(lambda n, k: (f"{{{n}+{k}}}", {n}), numbers, small),
        st.builds(lambda n, k: (f"{{{n}-{k}}}", {n}), numbers, small),
        st.builds(lambda n, k: (f"{{{k}*{n}+1}}", {n}), numbers, small),
        st.builds(lambda n, k: (f"{{{n}//{k}}}", {n}), numbers, small),
        st.builds(lambda n, k: (f"{{{n}%{k}}}", {n}), numbers, small),
        st.builds(lambda n, k: (f"{{({n}+1)//{k}-2}}", {n}), numbers, small),
        st.just(("{i+2*j}", {"i", "j"})),
        st.just(("{numbers[axis]+j}", {"axis", "j"})),
        st.sampled_from([("{role}", {"role"}), ("{roles[role]}", {"role"}), ("{again[letter]}", {"letter"})]),
        st.sampled_from([("{numbers[axis]+1}", {"axis"}), ("{ranks[i%3]}", {"i"}), ("{{", set())]),
    )


VALUES = st.fixed_dictionaries(
    {
        "i": st.integers(0, 40).map(str),
        "j": st.integers(0, 40).map(str),
        "role": st.sampled_from(["q", "k", "v"]),
        "letter": st.sampled_from(["a", "b", "c"]),
        "axis": st.sampled_from(["x", "y"]),
    }
)


@settings(max_examples=800, deadline=None)
@given(st.lists(parts(), min_size=1, max_size=5), st.sampled_from(["_", "/", "conv", ""]), VALUES)
def test_templates_give_their_captures_back_or_say_why_not(pieces, between, values):
    text = between.join(piece for piece, _ in pieces)
    captures = {name: values[name] for _, names in pieces for name in names}
    template = parse_template(text)
    name = template.fill(captures, TABLES)
    assert re.fullmatch(template.regex(TABLES), name)
    try:
        candidates = solve(template, name, TABLES)
    except UnsolvableError:
        # refused only where something can be open
        assert "%" in text or not between
        return
    assert captures in candidates
    assert all(template.fill(each, TABLES) == name for each in candidates)


def brute_force(template, name):
    """Every pair of numbers below 60 that gives a name."""
    pairs = [{"i": str(i), "j": str(j)} for i in range(60) for j in range(60)]
    used = [{key: text for key, text in pair.items() if key in template.names} for pair in pairs]
    unique = [dict(pair) for pair in dict.fromkeys(tuple(sorted(pair.items())) for pair in used)]
    return [pair for pair in unique if template.fill(pair, {}) == name]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{i//4}_{i%4}", "2_3"),
        ("{i%4}_{i//4}", "3_2"),
        ("{i//7}", "5"),
        ("{i+1}_{j}", "9_4"),
        ("{2*i}", "7"),
        ("{2*i}", "8"),
        ("{i}{j}", "123"),
        ("{i}_{i+1}", "3_4"),
        ("{i}_{i+1}", "3_5"),
        ("{40-i}", "12"),
        ("{(i//2)*3}", "9"),
        ("{i+j}_{j}", "9_4"),
        ("{i+j}", "9"),
        ("{2*i+j}", "9"),
        ("{2*i+j+1}", "9"),
        ("{2*i+j-1}", "9"),
        ("x{i//2}_{i}", "x3_7"),
    ],
)
def test_all_candidates_are_found_and_no_other(text, name):
    template = parse_template(text)
    found = sorted(sorted(each.items()) for each in solve(template, name, {}))
    plain = [each for each in found if all(value == str(int(value or -1)) for _, value in each)]
    assert plain == sorted(sorted(each.items()) for each in brute_force(template, name))


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("{i%4}", "3", "{i%4} has one value for any number of captures"),
        ("{i%4}_{i%3}", "3_1", "{i%4} has one value for any number of captures"),
        ("{i-j}", "3", "{i-j} joins several captures that nothing else tells"),
        ("{i*i}", "9", "{i*i} uses its capture twice"),
        ("{0*i}", "0", "{0*i} has one value for any number of captures"),
    ],
)
def test_what_stays_open_is_refused_with_the_reason(text, name, why):
    with pytest.raises(UnsolvableError, match=f"^{re.escape(why)}$"):
        solve(parse_template(text), name, {})


def test_a_table_with_one_value_under_two_keys_gives_both():
    template = parse_template("{again[letter]}_{roles[role]}")
    assert solve(template, "one_key", TABLES) == [{"letter": "a", "role": "k"}, {"letter": "b", "role": "k"}]
    assert solve(template, "two_key", TABLES) == [{"letter": "c", "role": "k"}]
    assert solve(template, "three_key", TABLES) == []


def test_a_sum_with_a_table_has_as_many_candidates_as_the_table_has_entries_that_fit():
    template = parse_template("{numbers[axis]+j}")
    assert solve(template, "3", TABLES) == [{"axis": "x", "j": "0"}]
    assert solve(template, "7", TABLES) == [{"axis": "x", "j": "4"}, {"axis": "y", "j": "3"}]
    assert solve(template, "2", TABLES) == []


def test_what_is_known_settles_what_would_be_open():
    template = parse_template("{scope}_{i+j}")
    assert solve(template, "a_b_7", {}, {"scope": "a_b", "j": "3"}) == [{"i": "4"}]
    assert solve(template, "a_c_7", {}, {"scope": "a_b", "j": "3"}) == []


def test_patterns_of_captures_tell_readings_apart():
    template = parse_template("{a}_{b}")
    assert len(solve(template, "x_y_1", {})) == 2
    assert solve(template, "x_y_1", {}, patterns={"b": r"\d+"}) == [{"a": "x_y", "b": "1"}]


def test_too_many_readings_are_refused():
    with pytest.raises(UnsolvableError, match="in more than"):
        solve(parse_template("{a}{b}{c}{d}{e}"), "x" * 60, {})
