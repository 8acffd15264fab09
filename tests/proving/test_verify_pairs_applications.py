"""Every rule file for keras.applications: no alarm where outputs are equal, and the finding of its notes where not."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from repository import ROOT, import_file
from verify_small_applications import builders

from remap import verify
from remap.opening.memory import from_state_dict
from remap.proving.inputs import InputSpec
from remap.rules.load import load_rules
from remap.sides.keras.spec import ModelSource

pytestmark = pytest.mark.architectures

FOLDER = ROOT / "tests/architectures/applications"
members = import_file(FOLDER / "application_members.py")
twins = import_file(FOLDER / "application_twins.py")
BARE = {"include_preprocessing": False}
MEAN, DEVIATION = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def pixels(network: Any) -> None:
    """The network takes pixels from 0 to 255, as a Keras model that normalises them by itself."""
    network.register_forward_pre_hook(
        lambda _, inputs: ((inputs[0] / 255 - MEAN.to(inputs[0])) / DEVIATION.to(inputs[0]),)
    )


def without_top(network: Any) -> None:
    """The features alone, as of a headless checkpoint."""
    del network.classifier
    network.forward = network.features.forward


def bright(network: Any) -> None:
    """The first ReLU of a ResNetV2 lets through what the pooling before it gave, the negative too."""
    torch.nn.init.constant_(network.stages[0].blocks[0].norm1.bias, 3.0)


@dataclass(frozen=True)
class Pair:
    """A small model on both sides.

    Args:
        source: The published member of its family.
        size: Height and width of its images.
        options: Arguments of the Keras model.
        twin: Makes the PyTorch model compute what Keras does.
        torch: Arguments of the PyTorch model.
    """

    source: str
    size: int
    options: dict[str, Any] = field(default_factory=dict)
    twin: Any = twins.as_it_is
    torch: dict[str, Any] = field(default_factory=dict)

    @property
    def member(self) -> Any:
        return members.member(self.source)

    def __str__(self) -> str:
        return f"{self.member}@{self.size}{'' if self.twin is twins.as_it_is else f' {self.twin.__name__}'}"

    def hold(self) -> Any:
        """Both sides beside each other, BatchNorm statistics of real activations."""
        of_torch, of_keras = builders(self.member)
        torch.manual_seed(0)
        network = of_torch(**self.torch).eval()
        self.twin(network)
        checkpoint = from_state_dict({name: tensor.numpy() for name, tensor in network.state_dict().items()})
        source = ModelSource(self.member.spec, lambda: of_keras(input_shape=(self.size, self.size, 3), **self.options))
        shape = (1, 3, self.size, self.size)
        drawn = np.random.default_rng(0).uniform(0, 255, shape).astype("f4") if self.twin is pixels else None
        inputs = [InputSpec("", shape, values=drawn)]
        return verify(self.member.rules, checkpoint, source, network, inputs=inputs, calibrate=True)


EQUAL = [
    Pair("torchvision:resnet50", 32, twin=twins.stride_in_first),
    Pair("torchvision:vgg19", 32, {"include_top": False}, without_top),
    Pair("timm:densenet121", 32),
    Pair("timm:mobilenetv1_100", 32, twin=twins.pad_behind),
    Pair("torchvision:mobilenet_v2", 33),
    Pair("timm:mobilenetv2_100", 33),
    Pair("torchvision:mobilenet_v3_small", 33, BARE),
    Pair("timm:tf_mobilenetv3_small_100", 32, BARE),
    Pair("torchvision:efficientnet_b0", 33, twin=pixels),
    Pair("timm:tf_efficientnet_b0", 64, twin=pixels),
    Pair("torchvision:efficientnet_v2_s", 33, BARE),
    Pair("timm:tf_efficientnetv2_b0", 32, BARE),
    Pair("torchvision:convnext_tiny", 32, BARE),
    Pair("timm:convnext_tiny", 32, twin=pixels),
    Pair("timm:resnetv2_50", 32, twin=twins.last_block_strides),
    Pair("torchvision:inception_v3", 75, twin=twins.padding_not_counted),
    Pair("timm:legacy_xception", 71),
    Pair("timm:inception_resnet_v2", 75),
    Pair("timm:nasnetalarge", 32, twin=twins.zeros_before_pooling),
]


@pytest.mark.parametrize("pair", EQUAL, ids=str)
def test_no_alarm_where_outputs_are_equal(pair):
    found = pair.hold()
    assert found.verdict == "equal", found.finding
    assert found.weights.equal
    assert not found.untraced
    assert {row.outcome for row in (*found.rows, *found.outputs)} == {"equal"}


@dataclass(frozen=True)
class Noted:
    """What a file's notes say of a pair, and where verify reaches it.

    Args:
        pair: The pair as it stands.
        layer: The first layer that differs.
        module: What PyTorch computes there.
        cause: The cause that verify names.
        note: What the file's notes say of it, as a regular expression.
    """

    pair: Pair
    layer: str
    module: str
    cause: str
    note: str

    def __str__(self) -> str:
        return f"{self.pair} {self.cause}"


EVEN = r"at even sizes Keras pads \(0, 1\), (?:torchvision|timm) \(1, 1\)"
INSIDE = r"Keras (normalises|rescales) pixels.* by itself"
NOTED = [
    Noted(
        Pair("torchvision:resnet50", 32),
        "conv3_block1_1_conv",
        r"layer2\.0\.conv1",
        "stride",
        r"stride on the 3x3 convolution \(v1.5\), keras.applications on the first 1x1",
    ),
    Noted(Pair("timm:mobilenetv1_100", 32), "conv1", "conv_stem", "padding", r"at stride 2 Keras pads \(0, 1\)"),
    Noted(Pair("timm:mobilenetv1_100", 33), "conv_dw_2", r"blocks\.1\.0\.conv_dw", "padding", "whatever the size"),
    Noted(Pair("torchvision:mobilenet_v2", 32), "Conv1", r"features\.0\.0", "padding", EVEN),
    Noted(Pair("timm:mobilenetv2_100", 32), "Conv1", "conv_stem", "padding", EVEN),
    Noted(Pair("torchvision:mobilenet_v3_small", 32, BARE), "conv", r"features\.0\.0", "padding", EVEN),
    Noted(
        Pair("torchvision:mobilenet_v3_small", 33), "rescaling", r"features\.0\.0", "input normalised inside", INSIDE
    ),
    Noted(Pair("timm:tf_mobilenetv3_small_100", 32), "rescaling", "conv_stem", "input normalised inside", INSIDE),
    Noted(Pair("torchvision:efficientnet_b0", 32, twin=pixels), "stem_conv", r"features\.0\.0", "padding", EVEN),
    Noted(Pair("torchvision:efficientnet_b0", 33), "rescaling", r"features\.0\.0", "input normalised inside", INSIDE),
    Noted(Pair("timm:tf_efficientnet_b0", 32), "rescaling", "conv_stem", "input normalised inside", INSIDE),
    Noted(Pair("torchvision:efficientnet_v2_s", 32, BARE), "stem_conv", r"features\.0\.0", "padding", EVEN),
    Noted(Pair("torchvision:efficientnet_v2_s", 33), "rescaling", r"features\.0\.0", "input normalised inside", INSIDE),
    Noted(Pair("timm:tf_efficientnetv2_b0", 32), "rescaling", "conv_stem", "input normalised inside", INSIDE),
    Noted(
        Pair("torchvision:convnext_tiny", 32),
        "convnext_tiny_prestem_normalization",
        r"features\.0\.0",
        "input normalised inside",
        INSIDE,
    ),
    Noted(
        Pair("timm:convnext_tiny", 32),
        "convnext_tiny_prestem_normalization",
        r"stem\.0",
        "input normalised inside",
        INSIDE,
    ),
    Noted(
        Pair("timm:resnetv2_50", 32, twin=bright),
        "pool1_pool",
        r"stem\.pool",
        "padding value",
        "pads its first pooling with zeros",
    ),
    Noted(
        Pair("timm:resnetv2_50", 32, twin=twins.zeros_in_first_pooling),
        "conv2_block2_2_conv",
        r"stages\.0\.blocks\.1\.conv2",
        "stride",
        "strides in the first block of a stage",
    ),
    Noted(
        Pair("torchvision:inception_v3", 75),
        "average_pooling2d",
        "avg_pool2d",
        "count_include_pad",
        "average pooling counts the padding, Keras's does not",
    ),
    Noted(
        Pair("torchvision:inception_v3", 75, torch={"transform_input": True}),
        "conv2d",
        r"Conv2d_1a_3x3\.conv",
        "input not normalised inside",
        "renormalises its input",
    ),
    Noted(Pair("timm:legacy_xception", 75), "block3_pool", r"block2\.rep\.6", "padding", "Keras pads one side more"),
    Noted(
        Pair("timm:nasnetalarge", 32),
        "reduction_left2_stem_1",
        "max_pool2d",
        "padding value",
        "Keras pads with zeros, timm with -inf",
    ),
]


@pytest.mark.parametrize("noted", NOTED, ids=str)
def test_verify_reaches_what_the_notes_say(noted):
    found = noted.pair.hold()
    finding = found.finding
    assert found.verdict == "differ"
    assert found.weights.equal
    assert (re.sub(r"_\d+$", "", finding.layer) if noted.layer == "rescaling" else finding.layer) == noted.layer
    assert re.match(noted.module, finding.module), finding.module
    assert finding.cause == noted.cause, finding.text
    assert finding.proved
    assert finding.blame == "model"
    assert re.search(noted.note, load_rules(noted.pair.member.rules).about.notes)


def test_every_file_is_held():
    files = {path.stem for path in (ROOT / "rules").glob("*.toml")}
    assert {pair.member.rules for pair in EQUAL} == files
    conditional = {name for name in files if load_rules(name).about.notes != "Outputs are equal."}
    assert {noted.pair.member.rules for noted in NOTED} == conditional
