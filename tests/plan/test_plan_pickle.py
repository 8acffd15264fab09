"""A plan is data: pickled and read back in another process it makes the same numbers, before and after reading."""

from __future__ import annotations

import pickle
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import resnet50

from remap.api import open_checkpoint, plan
from remap.errors import PlanError
from remap.rules.place import SMALL

RULES = """format = 1
[[rename]]
match = 'norm'
to = 'folded'
layout = "batch_normalization"

[[rename]]
match = 'bare'
to = 'absorbed'
layout = "batch_normalization_without_gamma"

[[rename]]
match = 'linear'
to = 'dense'
layout = "dense"

[[rename]]
match = 'position'
to = 'positions'
layout = "called"

[[rename]]
match = 'half\\.<i>'
to = 'half_{i}'

[layouts.called]
embeddings = { from = "weight", call = "user_port:doubled" }

[batchnorm]
target_epsilon = 1e-3
on_mismatch = "fold"

[[derive]]
op = "weight_norm"
from = { g = '(?P<m>.*)\\.weight_g', v = '(?P<m>.*)\\.weight_v' }
to = '{m}.weight'
"""
PORT = "def doubled(weight):\n    return 2 * weight\n"


def arrays():
    generator = np.random.default_rng(3)
    found = {}
    for module in ("norm", "bare"):
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{module}.{part}"] = generator.uniform(0.5, 1.5, 6).astype("f4")
    found["linear.weight_g"] = generator.standard_normal((4, 1)).astype("f4")
    found["linear.weight_v"] = generator.standard_normal((4, 6)).astype("f4")
    found["position.weight"] = generator.standard_normal((3, 2)).astype("f4")
    found["half.0"] = generator.standard_normal((3, 2)).astype(ml_dtypes.bfloat16)
    found["half.1"] = generator.standard_normal(3).astype("f2")
    return found


@pytest.fixture
def made(tmp_path, monkeypatch):
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    (tmp_path / "user_port.py").write_text(PORT)
    monkeypatch.syspath_prepend(tmp_path)
    return plan(rules, arrays(), allow_code=True)


def values(of):
    return {assignment.name: assignment.value.array() for assignment in of.assignments}


def expected():
    """The numbers by the formulas, from nothing of the project's."""
    source = {name: array.astype("f8") for name, array in arrays().items()}
    variance, gamma = source["norm.running_var"], source["norm.weight"]
    g, v = source["linear.weight_g"], source["linear.weight_v"]
    return {
        "folded/gamma": gamma * np.sqrt((variance + 1e-3) / (variance + 1e-5)),
        "absorbed/moving_variance": (source["bare.running_var"] + 1e-5) / source["bare.weight"] ** 2 - 1e-3,
        "dense/kernel": (g * v / np.linalg.norm(v, axis=1, keepdims=True)).T,
        "positions/embeddings": 2 * source["position.weight"],
        "half_0": source["half.0"],
        "half_1": source["half.1"],
    }


@pytest.mark.parametrize("read_before", [False, True])
def test_what_is_computed_is_computed_there_too(made, read_before):
    if read_before:
        values(made)
    there = pickle.loads(pickle.dumps(made))
    found = values(there)
    for name, numbers in expected().items():
        np.testing.assert_allclose(found[name].astype("f8"), numbers, rtol=2e-3 if "half" in name else 2e-6)
    own = values(made)
    assert found.keys() == own.keys()
    for name, array in own.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_results_and_locks_stay_in_the_process_that_made_them(made):
    before = len(pickle.dumps(made))
    values(made)
    assert len(pickle.dumps(made)) == before


CHILD = """
import pickle, sys
import numpy as np
plan = pickle.load(open(sys.argv[1], "rb"))
assert "user_port" not in sys.modules
np.savez(sys.argv[2], **{a.name.replace("/", "."): a.value.array().astype("f8") for a in plan.assignments})
assert "user_port" in sys.modules
"""


def test_another_process_computes_the_same(made, tmp_path):
    (tmp_path / "plan.pickle").write_bytes(pickle.dumps(made))
    arguments = [sys.executable, "-c", CHILD, "plan.pickle", "out.npz"]
    subprocess.run(arguments, cwd=tmp_path, check=True)
    there = np.load(tmp_path / "out.npz")
    for name, array in values(made).items():
        np.testing.assert_array_equal(there[name.replace("/", ".")], array.astype("f8"))


def test_a_function_that_is_gone_is_told_when_it_is_called(made, monkeypatch):
    data = pickle.dumps(made)
    monkeypatch.delitem(sys.modules, "user_port")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith(str(made.rules.path.parent))])
    there = pickle.loads(data)
    (assignment,) = [each for each in there.assignments if each.name == "positions/embeddings"]
    with pytest.raises(PlanError, match="cannot find the function") as caught:
        assignment.value.array()
    assert caught.value.problems[0].place.line == 17


def test_what_belongs_together_still_does(made):
    there = pickle.loads(pickle.dumps(made))
    assert {id(a.link) for a in there.assignments} <= {id(link) for link in there.links}
    assert all(a.link.entries[a.entry] == a.name for a in there.assignments)
    assert [link.rule for link in there.links] == [link.rule for link in made.links]
    assert there.rules == made.rules
    (half,) = [a for a in there.assignments if a.name == "half_1"]
    assert half.value.sources[0] is there.checkpoint["half.1"]


def test_a_resnet_50_takes_less_than_200_kilobytes(tmp_path):
    made = plan("resnet", resnet50.write(tmp_path / "resnet50.safetensors"))
    assert len(made.checkpoint) == 267
    assert made.target is not None and made.target.model == "keras.applications:ResNet50"
    data = pickle.dumps(made)
    assert len(data) < 200_000
    there = pickle.loads(data)
    assert [(a.name, a.shape, a.dtype, a.kind, a.sources) for a in there.assignments] == [
        (a.name, a.shape, a.dtype, a.kind, a.sources) for a in made.assignments
    ]
    assert there.target == made.target
    assert there.nbytes == made.nbytes
    kernel = next(a for a in there.assignments if a.name == "conv1_conv/kernel")
    assert kernel.variable is next(v for v in there.target.variables if v.path == kernel.name)
    np.testing.assert_array_equal(kernel.value.array(), np.zeros((7, 7, 3, 64), "f4"))
    for assignment in made.assignments:
        assignment.value.array()
    assert len(pickle.dumps(made)) == len(data)  # the file that is open now stays behind


def test_places_of_a_small_file_still_point_into_it(made):
    there = pickle.loads(pickle.dumps(made))
    place = there.assignments[0].link.rule.place
    assert place.of("match").excerpt() == made.assignments[0].link.rule.place.of("match").excerpt()
    assert "match = 'norm'" in place.of("match").excerpt()


def test_a_large_file_is_not_dragged_along(tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text("format = 1\n[[rename]]\nmatch = 'half\\.<i>'\nto = 'half_{i}'\n" + "# text\n" * SMALL)
    halves = {name: array for name, array in arrays().items() if name.startswith("half")}
    made = plan(rules, halves)
    data = pickle.dumps(made)
    assert len(data) < 40_000
    place = pickle.loads(data).assignments[0].place
    assert (place.path, place.line, place.text) == (rules, 2, "[[rename]]")
    assert place.of("match").line == 2  # the nearest that is known


def test_a_checkpoint_is_a_mapping_there_too(tmp_path):
    source = open_checkpoint(resnet50.write(tmp_path / "resnet50.safetensors"))
    there = pickle.loads(pickle.dumps(source))
    assert (there.path, there.format, list(there)) == (source.path, source.format, list(source))
    assert there["fc.bias"].shape == (1000,)
