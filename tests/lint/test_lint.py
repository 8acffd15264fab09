"""``remap lint``: each code by a rule file that has it and one, as near as can be, that has not."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from remap.errors import RuleError
from remap.lint.finding import CODES
from remap.lint.lint import lint
from remap.rules.shipped import shipped_names

HEAD = "format = 1\n"


def rule(match, to="b", rest=""):
    return f"[[rename]]\nmatch = '{match}'\nto = '{to}'\n{rest}"


def ignore(match):
    return f"[[ignore]]\nmatch = '{match}'\nreason = 'x'\n"


def linted(tmp_path, text, keys=None, **settings):
    path = tmp_path / "rules.toml"
    path.write_text(HEAD + text)
    if keys is None:
        return lint(path, **settings)
    file = tmp_path / "a.safetensors"
    save_file({key: np.full((2, 3), i, np.float32) for i, key in enumerate(keys)}, file)
    return lint(path, file, **settings)


# rules, keys of a checkpoint or None, code, line, level
FOUND = {
    "never fires": (rule("a") + rule("bb", "c"), ["a"], "R101", 6, "error"),
    "an ignore that never fires": (rule("a") + ignore("bb"), ["a"], "R101", 6, "error"),
    "two patterns share names": (rule(r"a\.(?:x|y)") + rule(r"a\.(?:y|z)", "c"), None, "R102", 6, "warning"),
    "two patterns share names of a layout": (
        rule(r"(?:a|b)", "x", 'layout = "conv2d"\n') + rule(r"(?:b|c)", "y", 'layout = "dense"\n'),
        None,
        "R102",
        7,
        "warning",
    ),
    "two patterns share names through look-around": (
        rule(r"(?!x)\w+") + rule(r"a(?=1)\d|c", "c"),
        ["a1", "c"],
        "R102",
        6,
        "error",
    ),
    "shadowed by a wider pattern": (rule(r"a\.w") + ignore(r"a\..*"), None, "R103", 3, "warning"),
    "shadowed by its double": (rule(r"a\.<i>", "b{i}") + rule(r"a\.(?P<n>\d+?)", "c{n}"), None, "R103", 3, "warning"),
    "one digit": (rule(r"layer_(?P<i>\d)\.w", "b{i}"), None, "R104", 3, "warning"),
    "one digit in a class": (rule(r"layer_(?P<i>[1-9])", "b{i}"), None, "R104", 3, "warning"),
    "part of a series": (rule(r"layer_(?P<i>1|2)", "b{i}"), ["layer_1", "layer_10"], "R104", 3, "error"),
    "explodes without the linear engine": (ignore(r"(?!b)(\w+\.?)+x"), None, "R105", 3, "error"),
    "would explode elsewhere": (ignore(r"(?:\w+\.?)+x"), None, "R105", 3, "warning"),
    "a star in a star": (ignore(r"(?:a*)*"), None, "R105", 3, "warning"),
    "a loose dot": (rule("a.w"), None, "R106", 3, "warning"),
    "an answer that nothing needs": (rule("a", rest="allow = ['R106: any']\n"), None, "R207", 5, "warning"),
    "an unused capture": (rule(r"a<i>\.w", "b"), None, "R201", 3, "warning"),
    "an unused capture of a layout": (
        "[layouts.x]\nkernel = 'w<l>'\n" + rule("a", "b", 'layout = "x"\n'),
        None,
        "R201",
        5,
        "warning",
    ),
    "a group without a name": (rule(r"(a|b)\.w", "b"), None, "R202", 3, "warning"),
    "an unused layout": ("[layouts.x]\nkernel = 'w'\n", None, "R203", 2, "warning"),
    "an unused table": ("[tables.roles]\nq = 'query'\n", None, "R204", 2, "warning"),
    "an unused parameter": ("[params]\nheads = 8\n", None, "R205", 3, "warning"),
    "an unneeded fill": (
        rule("a", "b", 'layout = "dense"\nfill = ["bias"]\n'),
        ["a.weight", "a.bias"],
        "R206",
        6,
        "warning",
    ),
    "an index written out": (rule(r"a(?P<i>\d+)", "b{i}"), None, "R301", 3, "warning"),
    "an index written out as a class": (rule(r"a(?P<i>[0-9]+)", "b{i}"), None, "R301", 3, "warning"),
    "anchors": (rule("^a$"), None, "R302", 3, "warning"),
    "a name that drifts": (rule("a", "conv2d_3", 'layout = "conv2d"\n'), None, "R303", 4, "warning"),
    "a key that nothing claims": (rule("a"), ["a", "zz"], "R401", 1, "error"),
    "a shape that does not fit": (rule("a", "b", "axes = 'x -> x'\n"), ["a"], "R401", 3, "error"),
}


@pytest.mark.parametrize("text, keys, code, line, level", FOUND.values(), ids=FOUND.keys())
def test_finding_has_its_code_place_and_fix(tmp_path, text, keys, code, line, level):
    found = [finding for finding in linted(tmp_path, text, keys) if finding.code == code]
    assert [(finding.place.line, finding.level) for finding in found] == [(line, level)]
    assert found[0].place.path.name == "rules.toml"
    assert found[0].message
    assert found[0].fix
    assert code in CODES


def test_every_code_but_those_of_what_a_plan_tells_is_in_the_table():
    assert {code for _, _, code, _, _ in FOUND.values()} == set(CODES) - {"R402", "R403"}


CLEAN = {
    "patterns that touch and do not overlap": rule(r"a\.<i>", "b{i}") + rule(r"a\.<i>\.w", "c{i}") + rule(r"a\.x", "d"),
    "layouts of one module that take other tensors": rule("a", "x", 'layout = "dense"\n') + ignore(r"a\.running_.*"),
    "two ignores that touch": ignore(r".*\.step") + ignore(r"head\..*"),
    "few digits, meant so": rule(r"conv(?P<n>[123])", "c{n}"),
    "two digits": rule(r"a(?P<n>\d\d?)", "c{n}"),
    "repetition that is told apart": ignore(r"(?:\w+\.)+x"),
    "any name": ignore(r".*\.num_batches_tracked"),
    "an escaped dot": rule(r"a\.b"),
    "captures in an ignore": ignore(r"a<i>\.b"),
    "a capture that a table is asked for": "[tables.t]\na = 'x'\n" + rule("(?P<r>a)", "{t[r]}"),
    "a capture that a layout stacks": "[layouts.x]\nkernel = { from = 'e\\.<e>\\.w', stack = 'e' }\n"
    + rule("a", "b", 'layout = "x"\n'),
    "a parameter that is an axis": "[params]\nh = 8\n" + rule("a", "b", "axes = '(h d) e -> h d e'\n"),
    "a numbered layer below a scope": rule("a", "mlp/dense_1", 'layout = "dense"\n'),
    "a rank": rule("a", "conv2d[3]", 'layout = "conv2d"\n'),
}


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN.keys())
def test_nothing_to_say(tmp_path, text):
    assert linted(tmp_path, text) == []


def test_a_checkpoint_that_fits_leaves_nothing_to_say(tmp_path):
    text = rule("fc", "dense", 'layout = "dense"\n') + ignore("step<i>") + rule("gone", "c", "optional = true\n")
    assert linted(tmp_path, text, ["fc.weight", "step1", "step22"]) == []


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_files_lint_clean(name):
    assert [f"{finding.code} {finding.place}: {finding.message}" for finding in lint(name)] == []


def test_problems_of_the_target_are_found(fixtures):
    found = lint(
        "resnet", fixtures / "resnet" / "thin_resnet50.pt", target=fixtures / "conv_bn" / "conv_bn.target.json.gz"
    )
    assert {finding.code for finding in found} == {"R401"}
    assert all(finding.place.path.name == "resnet.toml" for finding in found)


def test_a_wrong_rule_file_is_an_error_and_no_finding(tmp_path):
    with pytest.raises(RuleError):
        linted(tmp_path, "[[rename]]\nmatch = 'a('\nto = 'b'\n")


def test_command_prints_code_place_carets_and_fix(tmp_path, remap_command):
    path = tmp_path / "r.toml"
    path.write_text(HEAD + rule(r"a<i>\.w", "b"))
    ran = remap_command("lint", path)
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "R201 warning: 'to' does not say {i}: every i would go to one place",
        f"  at {path}:3",
        "  3 | match = 'a<i>\\.w'",
        "    |           ^^^",
        "  fix: use {i} in 'to', or write \\d+ or (?:...) in its place",
        "findings: 1, errors: 0",
    ]


def test_command_as_json(tmp_path, remap_command):
    path = tmp_path / "r.toml"
    path.write_text(HEAD + rule("a.w"))
    ran = remap_command("lint", path, "--format", "json")
    assert ran.code == 1
    (entry,) = json.loads(ran.out)
    assert (entry["code"], entry["level"], entry["file"], entry["line"]) == ("R106", "warning", str(path), 3)
    assert entry["kind"] == CODES["R106"]
    assert entry["fix"]


def test_command_as_github_annotations(tmp_path, remap_command):
    path = tmp_path / "r.toml"
    path.write_text(HEAD + rule("a.w"))
    ran = remap_command("lint", path, "--format", "github")
    assert ran.code == 1
    assert ran.out == (
        f"::warning file={path},line=3,col=9,title=R106::"
        "'.' in 'a.w' stands for any character. Fix: write \\. for a dot\n"
    )


def test_command_is_content_with_a_good_file(remap_command):
    ran = remap_command("lint", "resnet")
    assert (ran.code, ran.err) == (0, "")


def test_a_prefix_that_all_names_miss_is_one_finding(tmp_path):
    rules = rule(r"a<i>\.w", "a{i}") + rule(r"b<i>\.w", "b{i}")
    (finding,) = linted(tmp_path, rules, ["net.a1.w", "net.a2.w", "net.b1.w"])
    assert finding.code == "R401"
    assert finding.place.line == 3
    assert r"strip = ['net\.']" in finding.fix
