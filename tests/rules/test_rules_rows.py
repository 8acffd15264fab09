"""Rows, ``'pattern' = 'target'``, against the same rules as lists of tables; where their words stand."""

import msgspec
import pytest

from remap.cli.main import main
from remap.lint.lint import lint
from remap.rules.load import load_rules

# rows, the same as a list of tables
FORMS = {
    "a module": ("[move.conv2d]\n'a<i>' = 'b{i}'", "[[rename]]\nmatch = 'a<i>'\nto = 'b{i}'\nlayout = 'conv2d'"),
    "a key without quotes": ("[move.dense]\nfc = 'd'", "[[rename]]\nmatch = 'fc'\nto = 'd'\nlayout = 'dense'"),
    "the root module": ("[move.dense]\n'' = 'd'", "[[rename]]\nmatch = ''\nto = 'd'\nlayout = 'dense'"),
    "tied weights": (
        "[move.embedding]\n'e' = ['b', 'c']",
        "[[rename]]\nmatch = 'e'\nto = ['b', 'c']\nlayout = 'embedding'",
    ),
    "all words": (
        "[move.dense_after_flatten]\n"
        "'a' = { to = 'b', fill = ['bias'], sizes = { c = 2 }, optional = true, absent = 'x' }",
        "[[rename]]\nmatch = 'a'\nto = 'b'\nlayout = 'dense_after_flatten'\nfill = ['bias']\nsizes = { c = 2 }\n"
        "optional = true\nabsent = 'x'",
    ),
    "an epsilon": (
        "[move.layer_normalization]\n'a' = { to = 'b', epsilon = 1e-6 }",
        "[[rename]]\nmatch = 'a'\nto = 'b'\nlayout = 'layer_normalization'\nepsilon = 1e-6",
    ),
    "one tensor": ("[move.tensor]\n'a\\.w' = 'b/w'", "[[rename]]\nmatch = 'a\\.w'\nto = 'b/w'"),
    "one tensor with axes": (
        "[move.tensor]\n'a' = { to = 'b', axes = 'r e -> e r', take = { r = '2:' } }",
        "[[rename]]\nmatch = 'a'\nto = 'b'\naxes = 'r e -> e r'\ntake = { r = '2:' }",
    ),
    "a table of its own": (
        "[move.dense.'a<i>']\nto = 'b{i}'\noptional = true",
        "[[rename]]\nmatch = 'a<i>'\nto = 'b{i}'\nlayout = 'dense'\noptional = true",
    ),
    "dotted words": (
        "[move.dense]\n'a<i>'.to = 'b{i}'\n'a<i>'.optional = true",
        "[[rename]]\nmatch = 'a<i>'\nto = 'b{i}'\nlayout = 'dense'\noptional = true",
    ),
    "a key with escapes": (
        '[move.dense]\n"a\\\\.b\\u0031" = "c"',
        "[[rename]]\nmatch = 'a\\.b1'\nto = 'c'\nlayout = 'dense'",
    ),
    "a target on a line of its own": (
        '[move.dense]\n\'a<i>\' = """\\\n  b/\\\n  c{i}"""',
        "[[rename]]\nmatch = 'a<i>'\nto = 'b/c{i}'\nlayout = 'dense'",
    ),
    "a layout of the file's own": (
        "[layouts.x]\nkernel = 'w'\n[move.x]\n'a' = 'b'",
        "[layouts.x]\nkernel = 'w'\n[[rename]]\nmatch = 'a'\nto = 'b'\nlayout = 'x'",
    ),
    "an ignore": ("[ignore]\n'a' = 'x'", "[[ignore]]\nmatch = 'a'\nreason = 'x'"),
    "an ignore that is optional": (
        "[ignore]\n'a' = { reason = 'x', optional = true }",
        "[[ignore]]\nmatch = 'a'\nreason = 'x'\noptional = true",
    ),
    "a keep": ("[keep]\n'a/.*' = 'x'", "[[keep]]\nmatch = 'a/.*'\nreason = 'x'"),
    "a fill": (
        "[fill]\n'a' = { value = [1.0, 2.0], reason = 'x' }",
        "[[fill]]\nmatch = 'a'\nvalue = [1.0, 2.0]\nreason = 'x'",
    ),
}


def loaded(tmp_path, text, name="rules.toml"):
    path = tmp_path / name
    path.write_text(f"format = 1\n{text}\n", "utf-8")
    return load_rules(path)


def specs(file):
    rules = (*file.renames, *file.ignores, *file.keeps, *file.fills)
    return [(type(rule.spec).__name__, msgspec.structs.asdict(rule.spec)) for rule in rules]


@pytest.mark.parametrize("rows, listed", FORMS.values(), ids=FORMS.keys())
def test_rows_say_what_a_list_says(tmp_path, rows, listed):
    one, other = specs(loaded(tmp_path, rows)), specs(loaded(tmp_path, listed))
    assert len(one) == 1
    assert one == other


MIXED = r"""
[move.conv2d]
'a<i>' = 'a{i}' # first
'b' = { to = 'b', fill = ["bias"] }

[[rename]]
match = 'c'
to = 'c'

[move.dense]
"d\\.e" = ['d', "e"]

[move.conv2d.'f\.<i>']
to = 'f{i}'
sizes = { }

[move.tensor]
g.to = 'g'
'g'.optional = true
"""


def test_rules_stand_in_the_order_of_the_file(tmp_path):
    rules = loaded(tmp_path, MIXED).renames
    assert [rule.spec.match for rule in rules] == ["a<i>", "b", "c", r"d\.e", r"f\.<i>", "g"]
    assert [rule.place.line for rule in rules] == [4, 5, 7, 12, 14, 19]


# match, word and what follows it, line, the text there
PLACES = [
    ("a<i>", ("match",), 4, "'a<i>'"),
    ("a<i>", ("to",), 4, "'a{i}'"),
    ("a<i>", ("layout",), 3, "conv2d"),
    ("a<i>", ("fill", 0), 4, "'a{i}'"),  # not said: the row's value
    ("b", ("match",), 5, "'b'"),
    ("b", ("to",), 5, "'b'"),
    ("b", ("fill",), 5, '["bias"]'),
    ("b", ("fill", 0), 5, '"bias"'),
    ("b", ("layout",), 3, "conv2d"),
    ("c", ("match",), 8, "'c'"),
    (r"d\.e", ("match",), 12, r'"d\\.e"'),
    (r"d\.e", ("to", 1), 12, '"e"'),
    (r"d\.e", ("layout",), 11, "dense"),
    (r"f\.<i>", ("match",), 14, r"'f\.<i>'"),
    (r"f\.<i>", ("to",), 15, "'f{i}'"),
    (r"f\.<i>", ("sizes", "c"), 16, "{ }"),
    (r"f\.<i>", ("layout",), 3, "conv2d"),
    ("g", ("match",), 19, "g"),
    ("g", ("to",), 19, "'g'"),
    ("g", ("optional",), 20, "true"),
    ("g", ("layout",), 18, "tensor"),
]


@pytest.mark.parametrize("match, key, line, text", PLACES)
def test_places_of_words(tmp_path, match, key, line, text):
    (rule,) = (rule for rule in loaded(tmp_path, MIXED).renames if rule.spec.match == match)
    place = rule.place.of(*key)
    assert (place.line, place.text[place.start : place.stop]) == (line, text)


def test_words_of_two_rules_on_one_line_are_told_apart(tmp_path):
    rules = loaded(tmp_path, "move.dense = { 'a' = 'b', 'c' = { to = 'd' } }").renames
    assert len({rule.place for rule in rules}) == 2
    assert [(r.place.of("match").start, r.place.of("to").start) for r in rules] == [(15, 21), (26, 39)]


def test_one_pattern_under_two_layouts_is_two_rules(tmp_path):
    text = "[layouts.scale]\nscale = 'gate'\n[move.dense]\n'a' = 'b'\n[move.scale]\n'a' = 'c'\n"
    assert [(r.spec.match, r.spec.layout) for r in loaded(tmp_path, text).renames] == [("a", "dense"), ("a", "scale")]


def test_rows_of_an_included_file_get_its_prefixes(tmp_path):
    loaded(
        tmp_path,
        "[move.dense]\n'' = 'd'\n'a<i>' = ['b{i}', 'c']\n[ignore]\n'x' = 'y'\n[keep]\n'k' = 'y'\n",
        "part.toml",
    )
    include = "{ file = 'part.toml', prefix = 'v\\.', to_prefix = 'w/', absent = 'no v' }"
    file = loaded(tmp_path, f"include = [{include}]\n[move.dense]\n'o' = 'p'\n")
    assert [(r.spec.match, r.spec.to) for r in file.renames] == [
        ("o", "p"),
        ("v(?:)", "w/d"),
        ("v\\.(?:a<i>)", ["w/b{i}", "w/c"]),
    ]
    assert [rule.spec.match for rule in (*file.ignores, *file.keeps)] == ["v\\.(?:x)", "w/(?:k)"]
    assert {rule.part.absent for rule in file.renames[1:]} == {"no v"}
    place = file.renames[2].place.of("match")
    assert (place.path.name, place.line, place.text[place.start : place.stop]) == ("part.toml", 4, "'a<i>'")


def test_findings_stand_below_the_key(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text("format = 1\n[move.dense]\n'a.<i>' = 'dense_3'\n[ignore]\n'b\\.(x|y)' = 'z'\n")
    findings = {finding.code: finding.excerpt() for finding in lint(path)}
    assert findings == {
        "R106": "3 | 'a.<i>' = 'dense_3'\n  |   ^^^^",
        "R201": "3 | 'a.<i>' = 'dense_3'\n  |    ^^^",
        "R202": "5 | 'b\\.(x|y)' = 'z'\n  | ^^^^^^^^^^",
        "R303": "3 | 'a.<i>' = 'dense_3'\n  |            ^^^^^^^",
    }


def test_explain_shows_the_row(tmp_path, fixtures, capsys):
    path = tmp_path / "rules.toml"
    path.write_text("format = 1\n[move.dense]\n'' = 'd'\n")
    with pytest.raises(SystemExit, match="0"):
        main(["explain", str(path), str(fixtures / "linear" / "linear.safetensors"), "weight"])
    out = capsys.readouterr().out
    assert f"rule      {path}:3" in out
    assert "3 | '' = 'd'\n              | ^^\n" in out
