"""Members of the families of keras.applications with few and narrow blocks, for both sides: they have every kind of
layer that the published ones have. Those whose builders take no sizes are as published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras.src.applications as applications
import timm.models.efficientnet as timm_efficientnet
import torch
from timm import create_model
from timm.models.densenet import DenseNet
from timm.models.nasnet import NASNetALarge
from torchvision.models import convnext, efficientnet, mobilenetv2, resnet

CLASSES = 10
SHALLOW = 0.05
"""Of any depth that is one block a stage."""
TENSORFLOW = {"bn_eps": 1e-3, "pad_type": "same"}
"""How timm's ``tf_`` variants differ from the others."""
DEPTHS, WIDTHS = (3, 3, 9, 3), (8, 16, 24, 32)
"""Of ConvNeXt; Keras numbers its layer scales through all blocks, by which rules tell depths."""
Build = Callable[..., Any]


def _resnet(blocks: Sequence[int], stack: Build, strides: Sequence[int], preact: bool, **options: Any) -> Any:
    def stacks(x: Any) -> Any:
        for stage, (count, stride) in enumerate(zip(blocks, strides, strict=True)):
            x = stack(x, 64 << stage, count, stride1=stride, name=f"conv{stage + 2}")
        return x

    return applications.resnet.ResNet(stacks, preact, True, **options)


def _torchvision_efficientnet(architecture: str, **options: Any) -> Any:
    blocks, last = efficientnet._efficientnet_conf(architecture, width_mult=0.5, depth_mult=SHALLOW)
    for block in blocks:
        block.num_layers = 1
    return efficientnet.EfficientNet(blocks, 0.0, last_channel=last, **options)


def _torchvision_efficientnet_v2(**options: Any) -> Any:
    return _torchvision_efficientnet("efficientnet_v2_s", norm_layer=partial(torch.nn.BatchNorm2d, eps=1e-3), **options)


def _torchvision_convnext(**options: Any) -> Any:
    blocks = [convnext.CNBlockConfig(*sizes) for sizes in zip(WIDTHS, (*WIDTHS[1:], None), DEPTHS, strict=True)]
    return convnext.ConvNeXt(blocks, **options)


_efficientnet = partial(applications.efficientnet.EfficientNet, 0.5, SHALLOW, 224)
_convnext = partial(applications.convnext.ConvNeXt, DEPTHS, WIDTHS, name="convnext_tiny")
SMALL: dict[str, tuple[Build, Build]] = {
    "torchvision:resnet50": (
        partial(resnet.ResNet, resnet.Bottleneck, [1] * 4),
        partial(_resnet, [1] * 4, applications.resnet.stack_residual_blocks_v1, [1, 2, 2, 2], False),
    ),
    "timm:resnetv2_50": (
        partial(create_model, "resnetv2_50", layers=[2] * 4),
        partial(_resnet, [2] * 4, applications.resnet.stack_residual_blocks_v2, [2, 2, 2, 1], True),
    ),
    "timm:densenet121": (
        partial(DenseNet, block_config=(2, 2, 2, 2)),
        partial(applications.densenet.DenseNet, [2] * 4),
    ),
    "timm:mobilenetv1_100": (
        partial(timm_efficientnet._gen_mobilenet_v1, "mobilenetv1_100", 0.25),
        partial(applications.mobilenet.MobileNet, alpha=0.25),
    ),
    "torchvision:mobilenet_v2": (
        partial(mobilenetv2.MobileNetV2, width_mult=0.35),
        partial(applications.mobilenet_v2.MobileNetV2, alpha=0.35),
    ),
    "timm:mobilenetv2_100": (
        partial(timm_efficientnet._gen_mobilenet_v2, "mobilenetv2_100", 0.35),
        partial(applications.mobilenet_v2.MobileNetV2, alpha=0.35),
    ),
    "torchvision:efficientnet_b0": (partial(_torchvision_efficientnet, "efficientnet_b0"), _efficientnet),
    "timm:tf_efficientnet_b0": (
        partial(timm_efficientnet._gen_efficientnet, "tf_efficientnet_b0", 0.5, SHALLOW, **TENSORFLOW),
        _efficientnet,
    ),
    "torchvision:efficientnet_v2_s": (
        _torchvision_efficientnet_v2,
        partial(applications.efficientnet_v2.EfficientNetV2, 1.0, SHALLOW, 384, name="efficientnetv2-s"),
    ),
    "timm:tf_efficientnetv2_b0": (
        partial(timm_efficientnet._gen_efficientnetv2_base, "tf_efficientnetv2_b0", 1.0, SHALLOW, **TENSORFLOW),
        partial(applications.efficientnet_v2.EfficientNetV2, 1.0, SHALLOW, 224, name="efficientnetv2-b0"),
    ),
    "torchvision:convnext_tiny": (_torchvision_convnext, _convnext),
    "timm:convnext_tiny": (partial(create_model, "convnext_tiny", depths=DEPTHS, dims=WIDTHS), _convnext),
    "timm:nasnetalarge": (
        partial(NASNetALarge, stem_size=8, num_features=192),
        partial(applications.nasnet.NASNet, penultimate_filters=192, stem_block_filters=8),
    ),
}
"""The PyTorch and the Keras builder by the name of the smallest published member."""


def builders(member: Any) -> tuple[Build, Build]:
    """What builds the PyTorch and the Keras side of a member of ``application_members``, both with few classes."""
    of_torch, of_keras = SMALL.get(member.source) or (member.torch, member.keras)
    if member.source in SMALL:
        of_keras = partial(of_keras, weights=None, classifier_activation=None)
    return partial(of_torch, num_classes=CLASSES), partial(of_keras, classes=CLASSES)
