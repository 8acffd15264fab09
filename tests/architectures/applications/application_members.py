"""Every member of every family that the shipped rules convert to keras.applications, and its PyTorch side."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from remap.tensors.dtypes import dtype_of
from remap.tensors.tensor import ArrayStorage, Checkpoint, Tensor, dense_strides


@dataclass(frozen=True)
class Member:
    """One model on both sides.

    Args:
        rules: Bare name of the rule file.
        source: ``torchvision:resnet50`` or ``timm:resnetv2_50``.
        target: Name in keras.applications.
        variables: How many variables the Keras model has.
        options: Arguments of the Keras model.
    """

    rules: str
    source: str
    target: str
    variables: int
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def torch(self, **options: Any) -> Any:
        """The PyTorch model, its weights random; on torch's current default device."""
        library, _, name = self.source.partition(":")
        if library == "timm":
            import timm

            return timm.create_model(name, pretrained=False, **options)
        import torchvision

        if name == "inception_v3":
            options["init_weights"] = False
        return getattr(torchvision.models, name)(weights=None, **options)

    def keras(self, **options: Any) -> Any:
        """The Keras model, its outputs before the softmax."""
        import keras

        options.setdefault("classifier_activation", None)
        return getattr(keras.applications, self.target)(weights=None, **self.options, **options)

    @property
    def spec(self) -> str:
        """What :func:`remap.plan` calls the Keras side."""
        return f"keras.applications:{self.target}"

    def __str__(self) -> str:
        return self.source.replace(":", "-")


_TABLE = """
resnet                torchvision:resnet50             ResNet50           320
resnet                torchvision:resnet101            ResNet101          626
resnet                torchvision:resnet152            ResNet152          932
vgg                   torchvision:vgg16                VGG16               32
vgg                   torchvision:vgg19                VGG19               38
vgg                   timm:vgg16                       VGG16               32
vgg                   timm:vgg19                       VGG19               38
densenet              torchvision:densenet121          DenseNet121        606
densenet              torchvision:densenet169          DenseNet169        846
densenet              torchvision:densenet201          DenseNet201       1006
densenet              timm:densenet121                 DenseNet121        606
densenet              timm:densenet169                 DenseNet169        846
densenet              timm:densenet201                 DenseNet201       1006
mobilenet             timm:mobilenetv1_100             MobileNet          137
mobilenet_v2          torchvision:mobilenet_v2         MobileNetV2        262
mobilenet_v3          torchvision:mobilenet_v3_small   MobileNetV3Small   210
mobilenet_v3          torchvision:mobilenet_v3_large   MobileNetV3Large   266
mobilenet_v2_timm     timm:mobilenetv2_100             MobileNetV2        262
mobilenet_v3_timm     timm:tf_mobilenetv3_small_100    MobileNetV3Small   210
mobilenet_v3_timm     timm:tf_mobilenetv3_large_100    MobileNetV3Large   266
efficientnet          torchvision:efficientnet_b0      EfficientNetB0     314
efficientnet          torchvision:efficientnet_b1      EfficientNetB1     442
efficientnet          torchvision:efficientnet_b2      EfficientNetB2     442
efficientnet          torchvision:efficientnet_b3      EfficientNetB3     499
efficientnet          torchvision:efficientnet_b4      EfficientNetB4     613
efficientnet          torchvision:efficientnet_b5      EfficientNetB5     741
efficientnet          torchvision:efficientnet_b6      EfficientNetB6     855
efficientnet          torchvision:efficientnet_b7      EfficientNetB7    1040
efficientnet_timm     timm:tf_efficientnet_b0          EfficientNetB0     314
efficientnet_timm     timm:tf_efficientnet_b1          EfficientNetB1     442
efficientnet_timm     timm:tf_efficientnet_b2          EfficientNetB2     442
efficientnet_timm     timm:tf_efficientnet_b3          EfficientNetB3     499
efficientnet_timm     timm:tf_efficientnet_b4          EfficientNetB4     613
efficientnet_timm     timm:tf_efficientnet_b5          EfficientNetB5     741
efficientnet_timm     timm:tf_efficientnet_b6          EfficientNetB6     855
efficientnet_timm     timm:tf_efficientnet_b7          EfficientNetB7    1040
efficientnet_v2       torchvision:efficientnet_v2_s    EfficientNetV2S    672
efficientnet_v2       torchvision:efficientnet_v2_m    EfficientNetV2M    963
efficientnet_v2       torchvision:efficientnet_v2_l    EfficientNetV2L   1331
efficientnet_v2_timm  timm:tf_efficientnetv2_b0        EfficientNetV2B0   361
efficientnet_v2_timm  timm:tf_efficientnetv2_b1        EfficientNetV2B1   443
efficientnet_v2_timm  timm:tf_efficientnetv2_b2        EfficientNetV2B2   462
efficientnet_v2_timm  timm:tf_efficientnetv2_b3        EfficientNetV2B3   538
efficientnet_v2_timm  timm:tf_efficientnetv2_s         EfficientNetV2S    672
efficientnet_v2_timm  timm:tf_efficientnetv2_m         EfficientNetV2M    963
efficientnet_v2_timm  timm:tf_efficientnetv2_l         EfficientNetV2L   1331
convnext              torchvision:convnext_tiny        ConvNeXtTiny       182
convnext              torchvision:convnext_small       ConvNeXtSmall      344
convnext              torchvision:convnext_base        ConvNeXtBase       344
convnext              torchvision:convnext_large       ConvNeXtLarge      344
convnext_timm         timm:convnext_tiny               ConvNeXtTiny       182
convnext_timm         timm:convnext_small              ConvNeXtSmall      344
convnext_timm         timm:convnext_base               ConvNeXtBase       344
convnext_timm         timm:convnext_large              ConvNeXtLarge      344
convnext_timm         timm:convnext_xlarge             ConvNeXtXLarge     344
resnet_v2             timm:resnetv2_50                 ResNet50V2         272
resnet_v2             timm:resnetv2_101                ResNet101V2        544
resnet_v2             timm:resnetv2_152                ResNet152V2        816
inception_v3          torchvision:inception_v3         InceptionV3        378
inception_v3          timm:inception_v3                InceptionV3        378
xception              timm:legacy_xception             Xception           236
inception_resnet_v2   timm:inception_resnet_v2         InceptionResNetV2  898
nasnet                timm:nasnetalarge                NASNetLarge       1546
"""

MEMBERS = [
    Member(rules, source, target, int(variables))
    for rules, source, target, variables in (line.split() for line in _TABLE.strip().splitlines())
]
"""Smallest member first in each family."""

_THIN = {"minimalistic": True}
VARIANTS = [
    Member("mobilenet", "timm:mobilenetv1_125", "MobileNet", 137, {"alpha": 1.25}),
    Member("mobilenet_v2_timm", "timm:mobilenetv2_035", "MobileNetV2", 262, {"alpha": 0.35}),
    Member("mobilenet_v2_timm", "timm:mobilenetv2_050", "MobileNetV2", 262, {"alpha": 0.5}),
    Member("mobilenet_v2_timm", "timm:mobilenetv2_075", "MobileNetV2", 262, {"alpha": 0.75}),
    Member("mobilenet_v2_timm", "timm:mobilenetv2_140", "MobileNetV2", 262, {"alpha": 1.4}),
    Member("mobilenet_v3_timm", "timm:tf_mobilenetv3_small_075", "MobileNetV3Small", 210, {"alpha": 0.75}),
    Member("mobilenet_v3_timm", "timm:tf_mobilenetv3_large_075", "MobileNetV3Large", 266, {"alpha": 0.75}),
    Member("mobilenet_v3_timm", "timm:tf_mobilenetv3_small_minimal_100", "MobileNetV3Small", 174, _THIN),
    Member("mobilenet_v3_timm", "timm:tf_mobilenetv3_large_minimal_100", "MobileNetV3Large", 234, _THIN),
]
"""Models of other widths or with fewer parts, which arguments of the Keras model make."""


def member(source: str) -> Member:
    """The member with that source."""
    return next(each for each in (*MEMBERS, *VARIANTS) if each.source == source)


@cache
def meta_checkpoint(member: Member, **options) -> tuple[Checkpoint, set[float]]:
    """The member's state_dict as headers alone, and the epsilons of its BatchNorms."""
    import_module("torchvision")
    import torch

    with torch.device("meta"):
        model = member.torch(**options)
    tensors = {}
    for name, value in model.state_dict().items():
        dtype, shape = dtype_of(str(value.dtype).removeprefix("torch.")), tuple(value.shape)
        tensors[name] = Tensor(name, shape, dtype, dense_strides(shape), ArrayStorage(np.zeros(1, dtype)))
    norms = {module.eps for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)}
    return Checkpoint(Path("meta"), "headers", tensors), norms
