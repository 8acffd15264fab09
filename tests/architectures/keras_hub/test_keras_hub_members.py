"""Every published member of the families: its real names and shapes planned against keras_hub's own model."""

from __future__ import annotations

import keras_hub
import numpy as np
import pytest
from hub_members import MEMBERS, Member, lay_down
from hub_multimodal_members import MULTIMODAL_MEMBERS

import remap
from remap.planning.make import make_plan
from remap.target.keras_model import inventory_of

pytestmark = pytest.mark.architectures


@pytest.mark.parametrize("member", [*MEMBERS, *MULTIMODAL_MEMBERS], ids=str)
def test_plan_closes(member: Member, tmp_path):
    lay_down(member, tmp_path)
    target = inventory_of(lambda: keras_hub.models.Backbone.from_preset(str(tmp_path), load_weights=False), member.name)
    rules = remap.load_rules(f"keras_hub/{member.rules}")
    checkpoint = remap.open_checkpoint(tmp_path, strip=rules.source.strip)
    plan = make_plan(rules, checkpoint, target, initial=lambda variable: np.zeros(variable.shape, variable.dtype))
    assert {assignment.name for assignment in plan.assignments} == {variable.path for variable in target.variables}
    assert all(assignment.name.endswith("/bias") for assignment in plan.assignments if assignment.kind == "filled")
