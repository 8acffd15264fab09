"""Every published member of the families: its real names and shapes planned against keras_hub's own model."""

from __future__ import annotations

from typing import Any

import keras
import keras_hub
import numpy as np
import pytest
from hub_compare import MEASURED
from hub_members import Member, lay_down, parameters, stated_parameters
from hub_multimodal_members import MULTIMODAL_MEMBERS, PALI_GEMMA_MEMBERS
from hub_published import MEMBERS
from keras_hub.src.models.t5.t5_transformer_layer import T5TransformerLayer
from keras_hub.src.models.vit.vit_layers import ViTEncoder

import remap
from remap.planning.make import make_plan
from remap.rules.shipped import shipped_names
from remap.sides.keras.keras_model import inventory_of

import test_keras_hub_resnet_vd as resnet_vd  # isort: skip

pytestmark = pytest.mark.architectures
IN_TESTS_OF_THEIR_OWN = {("resnet_vd", name) for name in resnet_vd.BLOCKS} | {("embedding_gemma", "300M")}
"""Rule file and size."""


@pytest.fixture(autouse=True)
def shapes_without_tracing(monkeypatch):
    """Tell Keras what shapes these layers give on, which takes it longer to find out than to build them."""
    monkeypatch.setattr(ViTEncoder, "compute_output_spec", lambda self, inputs: keras.KerasTensor(inputs.shape))
    traced: dict[str, Any] = {}
    trace = T5TransformerLayer.compute_output_spec

    def traced_once(self: Any, *inputs: Any, **others: Any) -> Any:
        alike = repr(keras.tree.map_structure(lambda each: getattr(each, "shape", each), [inputs, others]))
        if alike not in traced:
            traced[alike] = trace(self, *inputs, **others)
        return keras.tree.map_structure(lambda each: keras.KerasTensor(each.shape), traced[alike])

    monkeypatch.setattr(T5TransformerLayer, "compute_output_spec", traced_once)


def test_every_size_of_every_file_is_planned():
    members = [*MEMBERS, *MULTIMODAL_MEMBERS, *PALI_GEMMA_MEMBERS]
    planned = {(member.rules, member.size) for member in members} | IN_TESTS_OF_THEIR_OWN
    names = [name for name in shipped_names() if name.startswith("keras_hub/")]
    said = [(name.removeprefix("keras_hub/"), size) for name in names for size in remap.load_rules(name).about.sizes]
    assert len(set(said)) == len(said)
    assert set(said) == planned


@pytest.mark.parametrize("member", [*MEMBERS, *MULTIMODAL_MEMBERS], ids=str)
def test_plan_closes(member: Member, tmp_path):
    lay_down(member, tmp_path)
    target = inventory_of(lambda: keras_hub.models.Backbone.from_preset(str(tmp_path), load_weights=False), member.name)
    rules = remap.load_rules(f"keras_hub/{member.rules}")
    checkpoint = remap.open_checkpoint(tmp_path, strip=rules.source.strip)
    plan = make_plan(rules, checkpoint, target, initial=lambda variable: np.zeros(variable.shape, variable.dtype))
    assert {assignment.name for assignment in plan.assignments} == {variable.path for variable in target.variables}
    assert all(assignment.name.endswith("/bias") for assignment in plan.assignments if assignment.kind == "filled")
    assert len(target.variables) == MEASURED[f"keras_hub/{member.rules}"]["variables"][member.size]
    assert parameters(target) == (stated_parameters(member) or parameters(target))
