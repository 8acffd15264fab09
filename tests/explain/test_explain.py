"""``remap explain``: one name, from its rule to its place in the written file, or the near misses."""

import json

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

RULES = r"""format = 1

[layouts.joined]
kernel = { from = ["a", "b"], concat = "o", axes = "(o two) i -> i (o two)", sizes = { two = 2 }, scale = 2.0 }

[tables.roles]
q = "query"
k = "key"

[[rename]]
match = 'layer<stage>\.<block>\.conv<n>'
to = 'conv{stage+1}_block{block+1}_{n}'
layout = "conv2d"

[[rename]]
match = 'layer<stage>\.<block>\.bn<n>'
to = 'conv{stage+1}_block{block+1}_{n}_bn'
layout = "layer_normalization"

[[rename]]
match = 'attn\.(?P<role>q|k)'
to = 'attn/{roles[role]}'
layout = "dense"

[[rename]]
match = 'mix'
to = 'mix'
layout = "joined"

[[rename]]
match = 'head\.weight'
to = ['one/kernel', 'two/kernel']
axes = 'o i -> i o'

[[ignore]]
match = '.*\.steps'
reason = "a counter"
"""
TENSORS = {
    "layer1.0.conv1.weight": (8, 3, 3, 2),
    "layer1.0.bn1.weight": (8,),
    "layer1.0.bn1.bias": (8,),
    "attn.q.weight": (6, 5),
    "mix.a": (4, 7),
    "mix.b": (2, 7),
    "head.weight": (10, 6),
    "bn.steps": (1,),
}


@pytest.fixture
def files(tmp_path):
    rules, checkpoint = tmp_path / "r.toml", tmp_path / "c.safetensors"
    rules.write_text(RULES)

    def make(**more):
        rng = np.random.default_rng(0)
        shapes = {**TENSORS, **{name.replace("__", "."): shape for name, shape in more.items()}}
        save_file({name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}, checkpoint)
        return rules, checkpoint

    return make


def line_of(text):
    return next(i for i, line in enumerate(RULES.splitlines(), 1) if text in line)


def test_source_tensor_shows_rule_captures_layout_steps_and_place(files, remap_command):
    rules, checkpoint = files()
    ran = remap_command("explain", rules, checkpoint, "layer1.0.conv1.weight")
    assert ran.code == 0
    line = line_of("layer<stage>\\.<block>\\.conv<n>")
    assert ran.out.splitlines()[3:] == [
        "conv2_block1_1/kernel  (3, 2, 3, 8) float32  moved",
        f"  rule      {rules}:{line - 1}",
        f"            {line} | match = 'layer<stage>\\.<block>\\.conv<n>'",
        "               |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        "  captures  stage = 1, block = 0, n = 1",
        "  layout    conv2d, kernel  (built in)",
        "  from      layer1.0.conv1.weight  (8, 3, 3, 2) float32",
        "  steps     o i h w -> h w i o  -> (3, 2, 3, 8)",
        "  note      its shape could not show a wrong layout: axes of one size: h, i",
        "  lies in   .h5: conv2_block1_1/conv2_block1_1/kernel:0",
        "            (with --model also in the other formats)",
    ]


def test_variable_shows_every_step_with_the_shape_after_it(files, remap_command):
    rules, checkpoint = files()
    ran = remap_command("explain", rules, checkpoint, "mix/kernel", "--json")
    assert ran.code == 0
    (made,) = json.loads(ran.out)["variables"]
    assert made["steps"] == [
        ["source", [4, 7]],
        ["source", [2, 7]],
        ["concat of 2 along o", [6, 7]],
        ["(o two) i -> i (o two)", [7, 6]],
        ["scale 2", [7, 6]],
    ]
    assert [source["name"] for source in made["sources"]] == ["mix.a", "mix.b"]
    assert made["layout"] == "joined"
    assert f"{rules}:3" in remap_command("explain", rules, checkpoint, "mix/kernel").out


def test_a_tensor_that_goes_to_two_places_shows_both(files, remap_command):
    rules, checkpoint = files()
    made = json.loads(remap_command("explain", rules, checkpoint, "head.weight", "--json").out)["variables"]
    assert [entry["name"] for entry in made] == ["one/kernel", "two/kernel"]


def test_ignored_tensor_shows_the_reason(files, remap_command):
    rules, checkpoint = files()
    ran = remap_command("explain", rules, checkpoint, "bn.steps")
    assert ran.code == 0
    assert f"left behind by {rules}:{line_of('[[ignore]]')}: a counter" in ran.out


NEAR = {
    "another name in the middle": (
        "layer1.0.foo.weight",
        "layer<stage>\\.<block>\\.conv<n>",
        "fits up to 'layer1.0.', then fails at 'foo.weight': it wants 'conv'",
    ),
    "a tensor that the layout does not know": (
        "layer1.0.conv1.scale",
        "layer<stage>\\.<block>\\.conv<n>",
        "fits up to 'layer1.0.conv1.', then fails at 'scale': it wants 'weight' or 'bias'",
    ),
    "a name that ends early": (
        "layer1.0.conv1",
        "layer<stage>\\.<block>\\.conv<n>",
        "fits 'layer1.0.conv1', then wants '0-9' or '.weight' or '.bias' where the name ends",
    ),
    "a choice": (
        "attn.v.weight",
        "attn\\.(?P<role>q|k)",
        "fits up to 'attn.', then fails at 'v.weight': it wants '[kq]'",
    ),
    "more than the rule takes": (
        "head.weight_g",
        "head\\.weight",
        "fits up to 'head.weight', then fails at '_g': it wants the end of the name",
    ),
}


@pytest.mark.parametrize("name, pattern, why", NEAR.values(), ids=NEAR.keys())
def test_uncovered_tensor_shows_how_far_the_closest_rules_get(files, remap_command, name, pattern, why):
    rules, checkpoint = files(**{name.replace(".", "__"): (3,)})
    ran = remap_command("explain", rules, checkpoint, name, "--json")
    assert ran.code == 6
    found = json.loads(ran.out)
    assert not found["covered"]
    assert [miss["why"] for miss in found["near"] if miss["pattern"] == pattern] == [why]
    assert found["near"][0]["rule"].startswith(f"{rules}:")
    text = remap_command("explain", rules, checkpoint, name).out
    assert "no rule claims it" in text
    assert f"'{pattern}'" in text
    assert why in text


def test_uncovered_variable_shows_the_closest_rules(fixtures, remap_command, tmp_path):
    rules = tmp_path / "conv_bn.toml"
    text = (fixtures / "conv_bn" / "conv_bn.toml").read_text()
    rules.write_text(text.replace("'1' = 'bn'", "'1' = 'bns'"))
    checkpoint = fixtures / "conv_bn" / "conv_bn.safetensors"
    target = fixtures / "conv_bn" / "conv_bn.target.json.gz"
    ran = remap_command("explain", rules, checkpoint, "bn/gamma", "--target", target)
    assert ran.code == 6
    assert "no rule writes it" in ran.out
    assert "'bns'" in ran.out
    assert "fits up to 'bn', then fails at '/gamma': it wants 's/" in ran.out


def test_uncovered_variable_whose_form_a_rule_has(fixtures, remap_command, tmp_path):
    rules = tmp_path / "rules.toml"
    checkpoint = fixtures / "conv_bn" / "conv_bn.safetensors"
    target = fixtures / "conv_bn" / "conv_bn.target.json.gz"
    text = (fixtures / "conv_bn" / "conv_bn.toml").read_text()
    rules.write_text(text.replace("'0' = 'conv'", "'(?P<name>c)onv' = '{name}onv'"))
    ran = remap_command("explain", rules, checkpoint, "conv/kernel", "--target", target)
    assert ran.code == 6
    assert "'{name}onv'" in ran.out
    assert "its form fits, but no source tensor leads there" in ran.out


def test_unknown_name_is_an_error_with_a_suggestion(files, remap_command):
    rules, checkpoint = files()
    ran = remap_command("explain", rules, checkpoint, "layer1.0.conv1.wieght")
    assert ran.code == 2
    assert "did you mean layer1.0.conv1.weight" in ran.err


@pytest.mark.parametrize("form", [".weights.h5", ".h5"])
def test_place_in_the_output_is_where_the_file_has_it(fixtures, remap_command, tmp_path, form):
    rules = fixtures / "conv_bn" / "conv_bn.toml"
    checkpoint = fixtures / "conv_bn" / "conv_bn.safetensors"
    target = fixtures / "conv_bn" / "conv_bn.target.json.gz"
    out = tmp_path / f"out{form}"
    assert remap_command("apply", rules, checkpoint, "--target", target, "-o", out).code == 0
    tensors = load_file(checkpoint)
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
    found = json.loads(remap_command("explain", rules, checkpoint, name, "--target", target, "--json").out)
    (made,) = found["variables"]
    with h5py.File(out) as file:
        for path in made["places"][form]:
            np.testing.assert_array_equal(file[path][()], tensors[name].transpose(2, 3, 1, 0))


def test_place_without_a_target_is_where_the_file_has_it(files, remap_command, tmp_path):
    rules, checkpoint = files()
    out = tmp_path / "out.h5"
    assert remap_command("apply", rules, checkpoint, "-o", out).code == 0
    (made,) = json.loads(remap_command("explain", rules, checkpoint, "attn.q.weight", "--json").out)["variables"]
    assert made["name"] == "attn/query/kernel"
    with h5py.File(out) as file:
        (path,) = made["places"][".h5"]
        np.testing.assert_array_equal(file[path][()], load_file(checkpoint)["attn.q.weight"].T)


def test_derived_sources_tell_what_they_are_made_of(fixtures, remap_command):
    ran = remap_command("explain", "resnet", fixtures / "resnet" / "thin_resnet50.pt", "bn1.weight")
    assert ran.code == 0
    assert "gamma folded with bn1.running_var" in ran.out
    assert "derived from bn1.running_var, bn1.weight" in ran.out
