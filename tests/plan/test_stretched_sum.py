"""Sums of tensors of different shapes, against numpy's own broadcasting."""

from __future__ import annotations

import numpy as np
import pytest

import remap
from remap.checking.compare import planned_array
from remap.errors import PlanError

RULES = """
format = 1
[[rename]]
match = 'embeddings'
to = 'positions'
layout = "positions"
[layouts.positions]
embeddings = {{ from = [
    {{ tensor = 'position\\.weight', axes = "row e -> row e", take = {{ row = "2:" }} }},
    {{ tensor = 'type\\.weight', axes = "{axes}", take = {{ type = 0 }} }},
], reduce = "sum" }}
"""


def made(tmp_path, axes):
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES.format(axes=axes))
    rng = np.random.default_rng(0)
    tensors = {
        f"embeddings.{name}.weight": rng.normal(size=size).astype("f4")
        for name, size in (("position", (7, 3)), ("type", (2, 3)))
    }
    return tensors, remap.plan(rules, tensors)


def test_an_axis_of_one_stretches(tmp_path):
    tensors, plan = made(tmp_path, "type e -> type 1 e")
    position, kind = tensors.values()
    assert np.array_equal(planned_array(plan.assignments[0]), position[2:] + kind[0])


def test_ranks_do_not(tmp_path):
    with pytest.raises(PlanError, match=r"different shapes are summed: \(5, 3\) and \(3,\)"):
        made(tmp_path, "type e -> type e")
