"""ResNet-D: keras_hub has the model and no converter, so every bit is held against a table written by hand."""

from __future__ import annotations

import keras
import keras_hub
import numpy as np
import pytest
import timm
import torch
from hub_checkpoints import fill_randomly, settle, timm_model
from hub_compare import bound

import remap
from remap.opening.memory import from_state_dict
from remap.planning.make import make_plan
from remap.sides.keras.keras_model import inventory_of

pytestmark = pytest.mark.architectures
RULES = "keras_hub/resnet_vd"
BLOCKS = {
    "resnet18d": (2, 2, 2, 2),
    "resnet26d": (2, 2, 2, 2),
    "resnet34d": (3, 4, 6, 3),
    "resnet50d": (3, 4, 6, 3),
    "resnet101d": (3, 4, 23, 3),
    "resnet152d": (3, 8, 36, 3),
    "resnet200d": (3, 24, 36, 3),
}
BASIC = ("resnet18d", "resnet34d")
ROUNDING = bound("resnet_vd")
"""Of float64."""


def backbone(architecture: str) -> keras.Model:
    """keras_hub's model of an architecture, as its vd presets are configured."""
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[32, 32, 64],
        input_conv_kernel_sizes=[3, 3, 3],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=list(BLOCKS[architecture]),
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block_vd" if architecture in BASIC else "bottleneck_block_vd",
    )


def pairs(architecture: str) -> dict[str, str]:
    """Every Keras layer and the PyTorch module in it."""
    found = {
        "conv1_conv": "conv1.0",
        "conv1_bn": "conv1.1",
        "conv2_conv": "conv1.3",
        "conv2_bn": "conv1.4",
        "conv3_conv": "conv1.6",
        "conv3_bn": "bn1",
    }
    for stage, blocks in enumerate(BLOCKS[architecture]):
        for block in range(blocks):
            ours, theirs = f"stack{stage}_block{block}", f"layer{stage + 1}.{block}"
            for n in (1, 2) if architecture in BASIC else (1, 2, 3):
                found |= {f"{ours}_{n}_conv": f"{theirs}.conv{n}", f"{ours}_{n}_bn": f"{theirs}.bn{n}"}
            if block == 0 and (stage > 0 or architecture not in BASIC):
                found |= {f"{ours}_0_conv": f"{theirs}.downsample.1", f"{ours}_0_bn": f"{theirs}.downsample.2"}
    return found


def expected(architecture: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every variable."""
    found = {}
    for ours, theirs in pairs(architecture).items():
        if ours.endswith("_conv"):
            found[f"{ours}/kernel"] = state[f"{theirs}.weight"].transpose(2, 3, 1, 0)
            continue
        names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
        found |= {f"{ours}/{name}": state[f"{theirs}.{source}"] for name, source in names.items()}
    if architecture in BASIC:
        shortcut = "stack0_block0_0_bn"
        found["stack0_block0_0_conv/kernel"] = np.eye(64)[None, None]
        found |= {f"{shortcut}/gamma": np.ones(64), f"{shortcut}/beta": np.zeros(64)}
        found |= {f"{shortcut}/moving_mean": np.zeros(64), f"{shortcut}/moving_variance": np.full(64, 1 - 1e-5)}
    return found


@pytest.fixture
def float64():
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("architecture", ["resnet18d", "resnet26d"])
@pytest.mark.parametrize("size", [64, 65])
def test_variables_are_those_of_the_table_and_outputs_those_of_timm(architecture, size, float64):
    model = timm_model(architecture)
    fill_randomly(model)
    settle(model, 64)
    twin = backbone(architecture)
    model = model.double()
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    remap.load_into(twin, RULES, state)
    wanted = expected(architecture, state)
    assert {variable.path for variable in twin.variables} == set(wanted)
    assert [v.path for v in twin.variables if not np.array_equal(np.asarray(v), wanted[v.path])] == []
    images = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("float32")
    ours = np.asarray(twin(images, training=False))
    with torch.no_grad():
        theirs = model.forward_features(torch.tensor(images).double().permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    scale = np.abs(theirs).max()
    assert np.abs(theirs[0] - theirs[1]).max() / scale > 0.05, "the outputs hardly depend on the inputs"
    assert np.abs(ours - theirs).max() / scale < ROUNDING


@pytest.mark.parametrize("architecture", BLOCKS)
def test_plan_closes(architecture):
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in timm.create_model(architecture).state_dict().items()}
    state = {name: np.broadcast_to(np.float32(0), tuple(shape)) for name, shape in shapes.items()}
    target = inventory_of(lambda: backbone(architecture), architecture)
    plan = make_plan(remap.load_rules(RULES), from_state_dict(state), target)
    assert {assignment.name for assignment in plan.assignments} == {variable.path for variable in target.variables}
    filled = {assignment.name for assignment in plan.assignments if assignment.kind == "filled"}
    assert {name.rpartition("/")[0] for name in filled} == (
        {"stack0_block0_0_conv", "stack0_block0_0_bn"} if architecture in BASIC else set()
    )
