"""Links of a plan: which module became which layer, read back against the rules and the names they were made from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from remap.api import plan
from remap.inventory.inventory import Inventory, Layer, Variable
from remap.lint.lint import lint
from remap.report.account import rows

RULES = """format = 1
[tables.roles]
q = "query"
k = "key"

[[rename]]
match = 'encoder\\.<i>\\.conv'
to = 'conv{i+1}'
layout = "conv2d"
fill = ["bias"]

[[rename]]
match = 'attention\\.(?P<role>[qk])'
to = ['attention/{roles[role]}', 'copy/{roles[role]}']
layout = "dense"

[[rename]]
match = 'scale'
to = 'scaling/scale'

[[rename]]
match = 'experts'
to = 'experts'
layout = "stacked"

[layouts.stacked]
kernel = { from = '<e>\\.w', stack = "e", axes = "e o i -> e i o" }

[[ignore]]
match = '.*\\.step'
reason = "a counter"
"""


def tensors():
    shapes = {f"encoder.{i}.conv.weight": (4, 3, 2, 2) for i in range(3)}
    shapes |= {
        f"attention.{role}.{part}": shape for role in "qk" for part, shape in (("weight", (4, 5)), ("bias", (4,)))
    }
    shapes |= {"scale": (7,), "encoder.0.step": (1,)}
    shapes |= {f"experts.{e}.w": (2, 3) for e in (1, 0, 2)}
    return {name: np.full(shape, number, "f4") for number, (name, shape) in enumerate(shapes.items())}


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    return path


def test_a_link_says_rule_module_captures_layer_tensors_and_variables(rules):
    links = {(link.module, link.layer): link for link in plan(rules, tensors()).links}
    assert list(links) == [
        ("encoder.0.conv", "conv1"),
        ("encoder.1.conv", "conv2"),
        ("encoder.2.conv", "conv3"),
        ("attention.q", "attention/query"),
        ("attention.q", "copy/query"),
        ("attention.k", "attention/key"),
        ("attention.k", "copy/key"),
        ("scale", "scaling/scale"),
        ("experts", "experts"),
    ]
    conv = links["encoder.1.conv", "conv2"]
    assert (conv.rule.place.line, conv.layout, dict(conv.captures)) == (6, "conv2d", {"i": "1"})
    assert conv.entries == {"kernel": "conv2/kernel", "bias": "conv2/bias"}
    assert conv.sources("kernel") == [{-1: "encoder.1.conv.weight"}]
    assert conv.sources("bias") == [{}]
    assert list(conv.expressions) == ["kernel", "bias"]
    raw = links["scale", "scaling/scale"]
    assert (raw.layout, raw.holder, raw.entries) == ("tensor", "", {"": "scaling/scale"})
    experts = links["experts", "experts"]
    assert experts.sources("kernel") == [{1: "experts.1.w", 0: "experts.0.w", 2: "experts.2.w"}]
    assert dict(experts.captures) == {}


def test_the_layers_of_one_module_share_its_tensors_and_not_its_variables(rules):
    query, copy = [link for link in plan(rules, tensors()).links if link.module == "attention.q"]
    assert query.tensors is copy.tensors
    assert query.entries == {"kernel": "attention/query/kernel", "bias": "attention/query/bias"}
    assert copy.entries == {"kernel": "copy/query/kernel", "bias": "copy/query/bias"}


def test_assignments_point_to_their_links_and_tell_what_these_say(rules):
    made = plan(rules, tensors())
    links = set(map(id, made.links))
    assert len(made.assignments) == 3 * 2 + 4 * 2 + 1 + 1
    for assignment in made.assignments:
        link = assignment.link
        assert id(link) in links
        assert link.entries[assignment.entry] == assignment.name
        assert (assignment.layout, assignment.module, assignment.captures) == (link.layout, link.module, link.captures)
        assert assignment.place == link.rule.place
        read = [key for keys in link.sources(assignment.entry) for _, key in sorted(keys.items())]
        assert list(assignment.sources) == read
        assert set(read) <= set(link.claimed())


def model(*shapes):
    layers = dict.fromkeys(path.rpartition("/")[0] for path, _ in shapes)
    positions = {path: number for number, path in enumerate(layers)}
    return Inventory(
        "made up",
        tuple(
            Variable(path, path, shape, "float32", positions[path.rpartition("/")[0]], 0.0) for path, shape in shapes
        ),
        tuple(Layer(path, "Dense", path, path) for path in layers),
        "functional",
        "3.15.1",
    )


SETTLED = """format = 1
[[rename]]
match = 'fc'
to = 'head'
layout = "dense"

[[rename]]
match = 'extra'
to = 'gone'
layout = "dense"
absent = "small models have none"

[[keep]]
match = 'new/.*'
reason = "trained later"

[[fill]]
match = 'norm/mean'
value = 0.5
reason = "images are scaled"
"""


def test_with_a_target_links_have_its_full_names_and_what_is_settled_has_no_link(tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text(SETTLED)
    target = model(("net/head/kernel", (3, 2)), ("net/head/bias", (2,)), ("new/kernel", (2, 2)), ("norm/mean", (3,)))
    arrays = {"fc.weight": np.ones((2, 3), "f4"), "fc.bias": np.ones(2, "f4"), "extra.weight": np.ones((2, 2), "f4")}
    made = plan(rules, arrays, target=target)
    (link,) = made.links
    assert (link.layer, link.entries) == ("head", {"kernel": "net/head/kernel", "bias": "net/head/bias"})
    by_name = {assignment.name: assignment for assignment in made.assignments}
    assert by_name["net/head/kernel"].layer == "net/head"
    for name, line, reason in (("new/kernel", 13, "trained later"), ("norm/mean", 17, "images are scaled")):
        assignment = by_name[name]
        assert assignment.link is None
        assert (assignment.layout, assignment.module, dict(assignment.captures)) == ("", "", {})
        assert (assignment.place.line, assignment.reason) == (line, reason)
    assert [(ignored.name, ignored.reason) for ignored in made.ignored] == [("extra.weight", "small models have none")]


def test_the_report_counts_modules_and_layers_by_their_links(rules):
    table = {row.source: row for row in rows(plan(rules, tensors()))}
    assert table["encoder.{0..2}.conv"].target == "conv{1..3}"
    assert (table["encoder.{0..2}.conv"].modules, table["encoder.{0..2}.conv"].variables) == (3, 6)
    attention = table["attention.q, attention.k"]
    assert (attention.modules, attention.variables) == (2, 8)
    assert attention.place == "rules.toml:12"


def saved(folder: Path, arrays) -> Path:
    """The arrays as a safetensors file."""
    header, offset, blob = {}, 0, b""
    for name, array in arrays.items():
        data = array.tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + len(data)]}
        offset, blob = offset + len(data), blob + data
    text = json.dumps(header).encode()
    path = folder / "x.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + blob)
    return path


def test_lint_reads_links_and_places_problems_by_their_fields(tmp_path, rules):
    """A path with brackets and a colon in it, of which text would be told apart wrongly."""
    folder = tmp_path / "a.toml:3 (x)"
    folder.mkdir()
    path = folder / "rules.toml"
    path.write_text(RULES.replace('"conv2d"', '"dense"'))
    found = lint(path, saved(tmp_path, tensors()))
    faults = [finding for finding in found if finding.code == "R401"]
    assert {(finding.place.path, finding.place.line) for finding in faults} == {(path, 7)}
    assert all(finding.message.startswith("shapes do not fit the expression: encoder.") for finding in faults)


WARNED = """format = 1
[[rename]]
match = 'fc'
to = 'head'
layout = "dense"
"""


def test_a_warning_of_the_plan_is_placed_at_its_rule(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(WARNED)
    layers = (
        Layer("conv", "Conv2D", "conv", "conv", {"filters": 2}),
        Layer("flat", "Flatten", "flat", "flat", {}, ("conv",)),
        Layer("head", "Dense", "head", "head", {}, ("flat",)),
    )
    target = Inventory(
        "made up", (Variable("head/kernel", "head/kernel", (8, 3), "float32", 2),), layers, "functional", "3.15.1"
    )
    source = saved(tmp_path, {"fc.weight": np.ones((3, 8), "f4")})
    (finding,) = [each for each in lint(path, source, target=target) if each.code == "R402"]
    assert (finding.place.path, finding.place.line) == (path, 3)
    assert "is fed by a Flatten" in finding.message
    (remark,) = plan(path, source, target=target).remarks
    assert remark.place.line == 2
