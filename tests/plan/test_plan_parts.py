"""Splitting a plan: the parts together are the plan, weigh about the same, and can be carried out by themselves."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import resnet50
from hypothesis import given, settings
from hypothesis import strategies as st

from remap.api import open_checkpoint, plan
from remap.planning.parts import runs
from remap.report.account import account
from remap.writing.write import write as write_plan

RULES = """format = 1
[[rename]]
match = 'block\\.<i>'
to = 'dense_{i}'
layout = "dense"
optional = true

[[rename]]
match = 'bn\\.<i>'
to = 'bn_{i}'
layout = "batch_normalization"
optional = true

[batchnorm]
target_epsilon = 1e-3
on_mismatch = "fold"

[[derive]]
op = "weight_norm"
from = { g = '(?P<m>block\\.\\d+)\\.weight_g', v = '(?P<m>block\\.\\d+)\\.weight_v' }
to = '{m}.weight'
optional = true

[[ignore]]
match = '.*\\.step'
reason = "a counter"
optional = true
"""


def arrays(count, norms=0):
    generator = np.random.default_rng(0)
    found = {}
    for i in range(count):
        found[f"block.{i}.weight_g"] = generator.standard_normal((i + 1, 1)).astype("f4")
        found[f"block.{i}.weight_v"] = generator.standard_normal((i + 1, 3)).astype("f4")
        found[f"block.{i}.step"] = np.zeros(1, "f4")
    for i in range(norms):
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"bn.{i}.{part}"] = generator.uniform(0.5, 1.5, 4).astype("f4")
    return found


def planned(tmp_path, count, norms=0):
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    return plan(rules, arrays(count, norms))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_the_union_of_the_parts_is_the_plan(tmp_path, count):
    whole = planned(tmp_path, 4, 2)
    parts = whole.parts(count)
    assert len(parts) == count
    assert [a for part in parts for a in part.assignments] == list(whole.assignments)
    assert sum(bool(part.assignments) for part in parts) == min(count, len(whole.assignments))
    assert sum(part.nbytes for part in parts) == whole.nbytes
    assert {id(link) for part in parts for link in part.links} == {id(link) for link in whole.links}
    assert {name for part in parts for name in part.checkpoint} == set(whole.checkpoint)
    assert {e.layer for part in parts for e in part.epsilons} == {e.layer for e in whole.epsilons}
    assert [ignored for part in parts for ignored in part.ignored] == list(whole.ignored)
    assert {name for part in parts for name in part.derived_from} == set(whole.derived_from)
    assert [remark for part in parts for remark in part.remarks] == list(whole.remarks)
    for part in parts:  # each has its own links, tensors and account
        assert {id(a.link) for a in part.assignments} <= {id(link) for link in part.links}
        closed = account(part)
        assert closed.sources == closed.used + closed.ignored
        assert closed.used == len({*part.checkpoint} - {ignored.name for ignored in part.ignored})


def test_less_than_one_part_is_refused(tmp_path):
    with pytest.raises(ValueError, match="1 part or more"):
        planned(tmp_path, 1).parts(0)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 1000), max_size=40), st.integers(1, 12))
def test_runs_are_about_the_same_weight(weights, count):
    cut = runs(weights, count)
    assert len(cut) == count
    assert [weight for run in cut for weight in weights[run]] == weights
    assert sum(bool(weights[run]) for run in cut) == min(count, len(weights))
    share = sum(weights) / count
    assert all(sum(weights[run]) <= share + max(weights) + 1e-9 for run in cut if weights[run])


def test_a_resnet_is_split_evenly_and_every_part_can_be_written_by_itself(tmp_path):
    whole = plan("resnet", resnet50.write(tmp_path / "resnet50.safetensors"))
    assert whole.target is not None
    parts = whole.parts(4)
    assert max(part.nbytes for part in parts) < 1.3 * whole.nbytes / 4
    written = {}
    for number, part in enumerate(parts):
        part = pickle.loads(pickle.dumps(part))
        assert {v.path for v in part.target.variables} == {a.name for a in part.assignments}
        for suffix in (".h5", ".weights.h5", ".safetensors"):
            out = tmp_path / f"part{number}{suffix}"
            write_plan(part, out)
            if suffix == ".safetensors":
                written |= {name: tensor.shape for name, tensor in open_checkpoint(out).items()}
    assert written == {a.name: a.shape for a in whole.assignments}


def test_parts_together_write_the_numbers_of_the_whole(tmp_path):
    whole = planned(tmp_path, 5, 3)
    write_plan(whole, tmp_path / "whole.safetensors")
    expected = open_checkpoint(tmp_path / "whole.safetensors")
    found = {}
    for number, part in enumerate(whole.parts(3)):
        out = tmp_path / f"part{number}.safetensors"
        write_plan(pickle.loads(pickle.dumps(part)), out)
        found |= dict(open_checkpoint(out).items())
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor.array(), expected[name].array())
