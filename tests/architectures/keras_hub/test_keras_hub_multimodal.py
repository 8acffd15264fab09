"""Rule files for models of language and images: every bit as keras_hub's converter has it, outputs as PyTorch's."""

from __future__ import annotations

from typing import Any

import keras_hub
import numpy as np
import pytest
import torch
import transformers
from hub_checkpoints import fill_randomly, save_transformers, transformers_model
from hub_compare import bound, convert, differing, keras_output
from hub_members import lay_down, parameters, stated_parameters
from hub_multimodal import MULTIMODAL, PALI_GEMMA_2, SLIDING, TEXT, Multimodal, pali_gemma_backbone
from hub_multimodal_members import PALI_GEMMA_MEMBERS

import remap
from remap.sides.keras.keras_model import inventory_of

pytestmark = pytest.mark.architectures


@pytest.fixture(scope="module", params=MULTIMODAL, ids=str)
def case(request) -> Multimodal:
    return request.param


@pytest.fixture(scope="module")
def models(case, tmp_path_factory) -> tuple[Any, Any, torch.nn.Module]:
    """As keras_hub loads it, as remap loads it, and the PyTorch model."""
    model = transformers_model(case.model, case.config, case.settings)
    fill_randomly(model)
    folder = tmp_path_factory.mktemp(str(case))
    save_transformers(model, folder, case.published, case.respelled)
    return *convert(folder, f"keras_hub/{case.rules}"), model


def test_every_variable_is_as_keras_hub_loads_it(models):
    reference, ours, _ = models
    assert differing(reference, ours) == []


def test_outputs_are_those_of_transformers(case, models):
    _, backbone, model = models
    first, second = (case.inputs(backbone, np.random.default_rng(seed)) for seed in (0, 1))
    ours, theirs = keras_output(backbone, first[0]), torch_output(model, first[1])
    scale = np.abs(theirs).max()
    kinds = {value.is_floating_point() for value in first[1].values()}
    for floating in kinds:
        mixed = {
            name: second[1][name] if value.is_floating_point() is floating else value
            for name, value in first[1].items()
        }
        moved = np.abs(torch_output(model, mixed) - theirs).max()
        assert moved / scale > 0.1, "the outputs hardly depend on the " + ("images" if floating else "text")
    difference = np.abs(ours - theirs).max() / scale
    low, high = case.apart or (0, bound(case.rules))
    assert low <= difference <= high


def torch_output(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    with torch.no_grad():
        return model.base_model(**inputs).last_hidden_state.numpy()


def test_a_model_of_text_alone_leaves_the_image_encoder_behind(tmp_path):
    case = next(case for case in MULTIMODAL if case.rules == "gemma3")
    model = transformers_model(case.model, case.config, case.settings)
    save_transformers(model, tmp_path / "both", respelled=case.respelled)
    save_transformers(
        transformers_model("Gemma3ForCausalLM", "Gemma3TextConfig", {**TEXT, **SLIDING}), tmp_path / "text"
    )
    target = keras_hub.models.Backbone.from_preset(str(tmp_path / "text"), load_weights=False)
    found = remap.plan("keras_hub/gemma3", tmp_path / "both", target=inventory_of(target))
    assert len(found.assignments) == len(target.weights)
    left = {ignored.name.split(".")[0] for ignored in found.ignored}
    assert left == {"vision_tower", "multi_modal_projector"}
    assert {ignored.reason for ignored in found.ignored} == {"a model of text alone has no image encoder"}


def test_pali_gemma_2_which_keras_hub_does_not_convert_has_the_outputs_of_transformers(tmp_path):
    case = PALI_GEMMA_2
    model = transformers_model(case.model, case.config, case.settings)
    fill_randomly(model)
    save_transformers(model, tmp_path, respelled=case.respelled)
    backbone = pali_gemma_backbone(model.config)
    remap.load_into(backbone, "keras_hub/pali_gemma", tmp_path)
    keras_inputs, torch_inputs = case.inputs(backbone, np.random.default_rng(0))
    theirs = torch_output(model, torch_inputs)
    assert np.abs(keras_output(backbone, keras_inputs) - theirs).max() / np.abs(theirs).max() < bound(case.rules)


@pytest.mark.parametrize("member", PALI_GEMMA_MEMBERS, ids=str)
def test_plan_of_pali_gemma_closes(member, tmp_path):
    lay_down(member, tmp_path)
    config = transformers.PaliGemmaConfig(**dict(member.settings))
    target = inventory_of(lambda: pali_gemma_backbone(config), member.name)
    found = remap.plan("keras_hub/pali_gemma", tmp_path, target=target)
    assert [assignment.name for assignment in found.assignments] == [variable.path for variable in target.variables]
    assert not found.ignored
    assert parameters(target) == (stated_parameters(member) or parameters(target))
