"""Rule files for transformers checkpoints: every bit as keras_hub's own converter has it, outputs as PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hub_checkpoints import fill_randomly, save_transformers, transformers_model
from hub_compare import bound, convert, differing, keras_output, random_inputs
from hub_transformers import CASES, Case
from transformers.core_model_loading import revert_weight_conversion

import remap

pytestmark = pytest.mark.architectures
RENAMED = {"deit", "dinov2", "dinov3", "esm", "mixtral", "qwen3_moe", "qwen_moe", "swin_transformer", "vit"}
"""Families whose modules transformers 5 calls otherwise than the files that it writes."""


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request) -> Case:
    return request.param


@pytest.fixture(scope="module")
def models(case, tmp_path_factory) -> tuple[Any, Any, torch.nn.Module]:
    """As keras_hub loads it, as remap loads it, and the PyTorch model."""
    model = transformers_model(case.model, case.config, case.settings)
    fill_randomly(model, dtype=case.dtype, zeros=case.zeros)
    folder = tmp_path_factory.mktemp(str(case))
    save_transformers(model, folder, case.published, case.respelled)
    return *convert(folder, f"keras_hub/{case.rules}"), model


def test_every_variable_is_as_keras_hub_loads_it(models):
    reference, ours, _ = models
    assert differing(reference, ours) == []


def test_names_in_memory_give_the_same_as_those_in_files(case, models):
    _, ours, model = models
    if case.rules not in RENAMED:
        assert renamed(model) == set()
        return
    assert renamed(model)
    loaded = [np.asarray(variable).copy() for variable in ours.weights]
    for variable in ours.weights:
        variable.assign(np.full(variable.shape, 7))
    remap.load_into(ours, f"keras_hub/{case.rules}", model.state_dict())
    assert [
        v.path for v, before in zip(ours.weights, loaded, strict=True) if not np.array_equal(np.asarray(v), before)
    ] == []


def renamed(model: torch.nn.Module) -> set[str]:
    """Names that a tensor has in memory and not in the file."""
    state = model.state_dict()
    return set(state) - set(revert_weight_conversion(model, state))


def test_outputs_are_those_of_transformers(case, models):
    (ours, theirs), (_, others) = (outputs(case, models, seed) for seed in (0, 1))
    scale = np.abs(theirs).max()
    assert np.abs(theirs - others).max() / scale > 0.1, "the outputs hardly depend on the inputs"
    difference = np.abs(ours - theirs).max() / scale
    low, high = case.apart or (0, bound(case.rules))
    assert low <= difference <= high


def outputs(case: Case, models: tuple[Any, Any, torch.nn.Module], seed: int) -> tuple[np.ndarray, np.ndarray]:
    _, ours, model = models
    keras_inputs, torch_inputs = random_inputs(ours, seed)
    has_head = "For" in case.model or "LMHead" in case.model
    with torch.no_grad():
        found = (model.base_model if has_head else model)(**torch_inputs)
    theirs = found.last_hidden_state if hasattr(found, "last_hidden_state") else found[0]
    return keras_output(ours, keras_inputs), theirs.numpy()
