"""The epsilon of the PyTorch side: who says it, where it is read, and what a contradiction or a guess leads to."""

from __future__ import annotations

import json
from functools import cache

import keras
import pytest
import torch
from keras import layers
from torch import nn

import remap
from remap.arguments import model_source
from remap.errors import PlanError
from remap.lint.lint import lint
from remap.proving.options import VerifyOptions
from remap.proving.static import static_audit
from remap.sides.keras.keras_model import inventory_of

MODELS = """
import keras
import torch
from torch import nn


def network(eps=1e-3):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, eps)).eval()


def model(epsilon=1e-5):
    x = y = keras.Input((8, 8, 3))
    for i in range(2):
        y = keras.layers.Conv2D(4, 3, name=f"conv{i}")(y)
        y = keras.layers.BatchNormalization(epsilon=epsilon, name=f"bn{i}")(y)
    return keras.Model(x, y)
"""
MOVES = """
[move.conv2d]
'0' = 'conv0'
'2' = 'conv1'
"""
NORMS = """
[move.batch_normalization]
'1' = 'bn0'
'3' = 'bn1'
"""
OWN = """
[layouts.norm]
gamma = "weight"
beta = "bias"
moving_mean = "running_mean"
moving_variance = "running_var"
[move.norm]
'1' = 'bn0'
'3' = 'bn1'
"""
SINGLE = """
[move.tensor]
'1\\.weight' = 'bn0/gamma'
'1\\.bias' = 'bn0/beta'
'1\\.running_mean' = 'bn0/moving_mean'
'1\\.running_var' = 'bn0/moving_variance'
'3\\.weight' = 'bn1/gamma'
'3\\.bias' = 'bn1/beta'
'3\\.running_mean' = 'bn1/moving_mean'
'3\\.running_var' = 'bn1/moving_variance'
"""
IGNORED = """
[ignore]
'.*\\.num_batches_tracked' = "Keras keeps no such counter"
"""
EITHER_WAY = {"by layout": NORMS, "by a layout of one's own": OWN, "tensor by tensor": SINGLE}


def network(eps=1e-3):
    """Two convolutions, each with a BatchNorm whose variances are so small that the epsilon shows."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, eps)).eval()
    for norm in (made[1], made[3]):
        norm.running_var.uniform_(1e-4, 1e-2)
    return made


def model(epsilon=1e-5):
    x = y = keras.Input((8, 8, 3))
    for i in range(2):
        y = layers.Conv2D(4, 3, name=f"conv{i}")(y)
        y = layers.BatchNormalization(epsilon=epsilon, name=f"bn{i}")(y)
    return keras.Model(x, y)


@cache
def inventory(epsilon):
    return inventory_of(model_source(lambda: model(epsilon)))


@pytest.fixture
def rules(tmp_path):
    """Writes a rule file with these words on epsilons, and gives its path."""

    def write(words="", norms=NORMS):
        path = tmp_path / "rules.toml"
        path.write_text(f"format = 1\n[batchnorm]\n{words}\n{MOVES}{norms}{IGNORED}")
        return path

    return write


def refused(rules, epsilon, **settings):
    with pytest.raises(PlanError) as caught:
        remap.plan(rules, network().state_dict(), target=inventory(epsilon), **settings)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("norms", EITHER_WAY.values(), ids=EITHER_WAY)
def test_an_assumed_epsilon_is_called_assumed_and_the_networks_own_is_asked_for_first(rules, norms):
    problem = refused(rules(norms=norms), 1e-3)
    assert problem.what == "BatchNorm epsilons differ"
    assert problem.found.startswith("2 layers (bn{0..1}): source 1e-05, target 0.001; the source's is only assumed")
    asked, folded = problem.fix.index("source_epsilon = 0.001"), problem.fix.index('"fold"')
    assert asked < folded


def test_an_epsilon_that_the_file_says_is_not_called_assumed(rules):
    problem = refused(rules("source_epsilon = 1e-3"), 1e-5)
    assert problem.found == "2 layers (bn{0..1}): source 0.001, target 1e-05"
    assert problem.fix.startswith("[batchnorm] on_mismatch")
    assert not remap.plan(rules("source_epsilon = 1e-3"), network().state_dict(), target=inventory(1e-3)).epsilons


@pytest.mark.parametrize("norms", EITHER_WAY.values(), ids=EITHER_WAY)
def test_an_epsilon_is_read_from_the_network_where_the_file_is_silent(rules, norms):
    state = network().state_dict()
    assert not remap.plan(rules(norms=norms), state, target=inventory(1e-3), torch=network()).epsilons
    problem = refused(rules(norms=norms), 1e-5, torch=network())
    assert problem.found == "2 layers (bn{0..1}): source 0.001, target 1e-05; the source's is read from the module"
    accepted = remap.plan(
        rules('on_mismatch = "accept"', norms), state, target=inventory(1e-5), torch=network()
    ).epsilons
    assert [(e.layer, e.source, e.target, e.action, e.origin) for e in accepted] == [
        ("bn0", 1e-3, 1e-5, "accept", "module"),
        ("bn1", 1e-3, 1e-5, "accept", "module"),
    ]


@pytest.mark.parametrize("norms", EITHER_WAY.values(), ids=EITHER_WAY)
def test_a_file_that_contradicts_the_network_is_an_error_that_shows_both(rules, norms):
    words = 'source_epsilon = 1e-5\non_mismatch = "accept"'
    problem = refused(rules(words, norms), 1e-5, torch=network())
    assert problem.what == "the rule file says another epsilon than the PyTorch module has"
    assert problem.found == "2 layers (bn{0..1}): 1e-05 said by the file, 0.001 in the module"
    assert "[batchnorm] source_epsilon = 0.001" in problem.fix


def test_a_parameter_says_an_epsilon_unless_it_has_no_value(rules):
    path = rules('source_epsilon = "small"')
    path.write_text(path.read_text() + '[params.small]\nhelp = "PyTorch\'s epsilon"\n')
    assert refused(path, 1e-5, params={"small": 1e-3}).found.endswith("source 0.001, target 1e-05")
    contradicted = refused(path, 1e-3, params={"small": 1e-2}, torch=network())
    assert contradicted.found.endswith("0.01 said by the parameter, 0.001 in the module")
    assert not remap.plan(path, network().state_dict(), target=inventory(1e-3), torch=network()).epsilons


def test_a_fold_of_what_the_network_has_gives_equal_outputs(rules):
    path, net = rules('on_mismatch = "fold"'), network()
    verified = remap.verify(path, net.state_dict(), lambda: model(1e-5), net)
    assert verified.verdict == "equal"
    assert [(entry.setting, entry.note, entry.harmless) for entry in verified.audit] == [
        ("epsilon", "folded into the weights", True)
    ] * 2
    planned = remap.plan(path, net.state_dict(), target=inventory(1e-5), torch=net)
    assert {entry.origin.value for entry in planned.epsilons} == {"module"}
    assert not planned.warnings


def test_a_fold_of_what_is_only_assumed_is_warned_of_and_never_excused(rules):
    net = network()
    planned = remap.plan(rules('on_mismatch = "fold"'), net.state_dict(), target=inventory(1e-3))
    assert ["only assumed" in text for text in planned.warnings] == [True]
    source = model_source(lambda: model(1e-3))
    audited = static_audit(planned, planned.checkpoint, source, net, VerifyOptions())
    assert [(e.layer, e.setting, e.torch, e.keras, e.harmless) for e in audited.audit] == [
        ("bn0", "epsilon", "0.001", "1e-05 (folded)", False),
        ("bn1", "epsilon", "0.001", "1e-05 (folded)", False),
    ]


def test_an_accepted_difference_is_a_disagreement_whatever_the_verdict(rules):
    net = network()
    for norm in (net[1], net[3]):
        norm.running_var.fill_(1e6)
    verified = remap.verify(rules('on_mismatch = "accept"'), net.state_dict(), lambda: model(1.0001e-3), net)
    assert verified.verdict in ("equal", "blind")
    assert [(entry.layer, entry.setting, entry.harmless) for entry in verified.audit] == [
        ("bn0", "epsilon", False),
        ("bn1", "epsilon", False),
    ]


@pytest.mark.parametrize("norms", [OWN, SINGLE], ids=["own layout", "tensor by tensor"])
def test_a_layout_without_the_words_cannot_fold(rules, norms):
    problem = refused(rules('source_epsilon = 1e-3\non_mismatch = "fold"', norms), 1e-5)
    assert problem.what == "a layout does not say how an epsilon is folded"
    assert problem.found.startswith("2 layers (bn{0..1}): source 0.001, target 1e-05")
    assert "batch_normalization" in problem.fix


def test_the_epsilon_of_a_layer_normalisation_is_read_too(tmp_path):
    net = nn.Sequential(nn.LayerNorm(4, 1e-6))
    path = tmp_path / "rules.toml"
    path.write_text("format = 1\n[move.layer_normalization]\n'0' = 'norm'\n")
    made = keras.Sequential([keras.Input((4,)), layers.LayerNormalization(epsilon=1e-6, name="norm")])
    assert not remap.plan(path, net.state_dict(), model=made, torch=net).warnings
    other = keras.Sequential([keras.Input((4,)), layers.LayerNormalization(epsilon=1e-5, name="norm")])
    (warning,) = remap.plan(path, net.state_dict(), model=other, torch=net).warnings
    assert "the module has 1e-06" in warning
    path.write_text("format = 1\n[move.layer_normalization]\n'0' = { to = 'norm', epsilon = 1e-5 }\n")
    with pytest.raises(PlanError, match="1e-05 said by the file, 1e-06 in the module"):
        remap.plan(path, net.state_dict(), model=other, torch=net)


@pytest.fixture
def files(tmp_path, rules):
    """A checkpoint, and a file of functions that build both networks."""
    (tmp_path / "models.py").write_text(MODELS)
    torch.save(network().state_dict(), tmp_path / "net.pt")
    return tmp_path


def test_commands_read_the_epsilon_and_tell_where_it_is_from(files, rules, remap_command):
    path, models = rules('on_mismatch = "fold"'), files / "models.py"
    work = ("apply", path, files / "net.pt", "-o", files / "o.weights.h5", "--model", f"{models}:model", "--dry-run")
    read = remap_command(*work, "--torch", f"{models}:network")
    assert read.code == 0, read.err
    assert "BatchNorm epsilon 0.001 (read from the module) here, 1e-05 in Keras, 2 layers: folded" in read.out
    told = json.loads(remap_command(*work, "--torch", f"{models}:network", "--torch-arg", "eps=1e-2", "--json").out)
    assert [(e["source"], e["origin"]) for e in told["epsilons"]] == [(1e-2, "module")] * 2
    assumed = remap_command(*work, "--model-arg", "epsilon=1e-3")
    assert "BatchNorm epsilon 1e-05 (assumed) here, 0.001 in Keras, 2 layers: folded" in assumed.out


def test_lint_reads_the_network(files, rules):
    path, models = rules("source_epsilon = 1e-5"), f"{files}/models.py"
    findings = lint(path, files / "net.pt", model=f"{models}:model", torch=f"{models}:network")
    assert [finding.code for finding in findings] == ["R401"]
    assert "2 layers (bn{0..1}): 1e-05 said by the file, 0.001 in the module" in findings[0].message
